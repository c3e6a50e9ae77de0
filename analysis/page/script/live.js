// A page that is served while its sweep runs takes each new version in without losing what the reader has
// selected, unfolded and scrolled to. A page that was opened from a file never asks for anything.

const ASKED_EVERY_MS = 2000;
const TOP_PX = 100;  // below the bars

function follow(current, replacePage) {
  const line = document.querySelector(".live");
  let version = line?.dataset.version;
  if (!version) return;
  let failures = 0, ended = false, held = null, said = "";
  const news = async () => {
    try {
      const state = await (await fetch("/state", { cache: "no-store" })).json();
      failures = 0;
      said = `${state.running ? "Live" : "Ended"} · ${state.progress}`;
      line.classList.toggle("ended", !state.running);
      if (state.version !== version) {  // held while the reader is busy: its server goes soon after the sweep's end
        const text = await (await fetch("/", { cache: "no-store" })).text();
        held = new DOMParser().parseFromString(text, "text/html");
        version = held.querySelector(".live").dataset.version;
      } else ended = !state.running;  // this is the last version
    } catch {
      failures += 1;
      if (failures <= 2) return;
      said = "No longer live: the command that served this page has ended";
      line.classList.add("ended");
      ended = true;
    }
  };
  const ask = async () => {
    if (!ended) await news();
    if (held && !isBusy(current())) {
      const fresh = held;
      held = null;
      await replacePage(fresh);
    }
    line.textContent = said + (held ? " · newer results are ready" : "");
    if (!ended || held) wait();
  };
  const wait = () => setTimeout(() => ask().catch(failed), ASKED_EVERY_MS);
  wait();
}

/** Whether somebody is in the middle of something that new results would disturb. */
function isBusy(page) {
  const active = document.activeElement;
  return page.trial.isOpen || page.comparison.isOpen || Boolean(active?.closest?.("input[type=search], select"));
}

/** What the reader has done and sees: ticks, pages, views, unfolded details, what has the focus, where the page stands. */
function readerState(page) {
  const studies = [...page.studies.values()].map((study) => ({
    id: study.id, adding: study.adding, first: study.table.first, picked: [...study.picked].map((row) => study.trialId(row)),
  }));
  const open = [...document.querySelectorAll("details[open]")].map(detailsName);
  const maps = [...document.querySelectorAll(".map")].map((map) => map.dataset.view);
  const scrolls = [...document.querySelectorAll("main .scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  const away = (one) => Math.abs(one.getBoundingClientRect().top - TOP_PX);
  const mark = [...document.querySelectorAll("main [id]")].reduce((best, one) => (away(one) < away(best) ? one : best));
  return { studies, views: page.figures.chosen, focus: placeOf(document.activeElement), open, maps, scrolls, mark: mark?.id, top: mark?.getBoundingClientRect().top, y: scrollY };
}

function restoreReader(page, state) {
  for (const { id, adding, first, picked } of state.studies) {
    const study = page.studies.get(id);
    if (!study) continue;
    study.adding = adding;
    study.picked = new Set(picked.map((trial) => study.rowOf(trial)).filter((row) => row >= 0));
    study.changed();
    study.table.first = first;
  }
  page.figures.choose(state.views);
  for (const details of document.querySelectorAll("details")) details.open = state.open.includes(detailsName(details));
  document.querySelectorAll(".map").forEach((map, index) => { if (state.maps[index]) showMap(map, state.maps[index]); });
  document.querySelectorAll("main .scroll").forEach((box, index) => {
    const [left, top] = state.scrolls[index] ?? [0, 0];
    box.scrollTo({ left, top, behavior: "instant" });
  });
  const mark = state.mark && document.getElementById(state.mark);
  const y = mark ? scrollY + mark.getBoundingClientRect().top - state.top : state.y;
  scrollTo({ top: y, behavior: "instant" });
  elementAt(state.focus)?.focus({ preventScroll: true });
}

/** Where to find an element in the next version: the box around it, and what it is called there. */
function placeOf(element) {
  const box = element?.closest("[id]");
  if (!box) return null;
  const name = calledThere(element);
  return { box: box.id, name, nth: alike(box, name).indexOf(element) };
}

function elementAt(place) {
  const box = place && document.getElementById(place.box);
  return box && (place.nth < 0 ? box : alike(box, place.name)[place.nth]);
}

const alike = (box, name) => [...box.querySelectorAll("a, button, input, summary, [tabindex]")].filter((one) => calledThere(one) === name);

function calledThere(element) {
  const trial = element.closest("tr")?.querySelector(".open");
  const own = element.dataset.term ?? element.dataset.do ?? element.getAttribute("aria-label") ?? element.textContent;
  return [element.tagName, own, trial?.getAttribute("aria-label")].join(" ");
}

function detailsName(details) {
  const holder = details.closest("figure")?.getAttribute("aria-labelledby") ?? details.closest("[id]")?.id;
  const group = details.closest(".group")?.querySelector("h4").textContent ?? "";  // of the large map
  return `${holder} ${group} ${details.querySelector("summary")?.textContent}`;
}
