// A page that is served while its sweep runs takes each new version in without losing what the reader has
// selected, unfolded and scrolled to. A page that was opened from a file never asks for anything.

const ASKED_EVERY_MS = 2000;
const TOP_PX = 100;  // below the bars

function follow(current, replacePage) {
  const line = document.querySelector(".live");
  let version = line?.dataset.version;
  if (!version) return;
  let failures = 0;
  const ask = async () => {
    try {
      const state = await (await fetch("/state", { cache: "no-store" })).json();
      failures = 0;
      line.textContent = state.running ? `Live · ${state.progress}` : `Ended · ${state.progress}`;
      line.classList.toggle("ended", !state.running);
      if (state.version !== version) {
        if (isBusy(current())) line.textContent += " · newer results are ready";
        else {
          const text = await (await fetch("/", { cache: "no-store" })).text();
          const fresh = new DOMParser().parseFromString(text, "text/html");
          await replacePage(fresh);
          version = fresh.querySelector(".live").dataset.version;
        }
      } else if (!state.running) return;  // this is the last version
    } catch (error) {
      failures += 1;
      if (failures > 2) {
        line.textContent = "No longer live: the command that served this page has ended";
        line.classList.add("ended");
        return;
      }
    }
    setTimeout(ask, ASKED_EVERY_MS);
  };
  setTimeout(ask, ASKED_EVERY_MS);
}

/** Whether somebody is in the middle of something that new results would disturb. */
function isBusy(page) {
  const active = document.activeElement;
  return page.trial.isOpen || page.comparison.isOpen || Boolean(active?.closest?.("input[type=search], select"));
}

/** What the reader sees: unfolded details, views of the maps, where the page stands. */
function readerState() {
  const open = [...document.querySelectorAll("details[open]")].map(detailsName);
  const maps = [...document.querySelectorAll(".map")].map((map) => map.dataset.view);
  const scrolls = [...document.querySelectorAll("main .scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  const away = (one) => Math.abs(one.getBoundingClientRect().top - TOP_PX);
  const mark = [...document.querySelectorAll("main [id]")].reduce((best, one) => (away(one) < away(best) ? one : best));
  return { open, maps, scrolls, mark: mark?.id, top: mark?.getBoundingClientRect().top, y: scrollY };
}

function restoreReader(state) {
  for (const details of document.querySelectorAll("details")) details.open = state.open.includes(detailsName(details));
  document.querySelectorAll(".map").forEach((map, index) => { if (state.maps[index]) showMap(map, state.maps[index]); });
  document.querySelectorAll("main .scroll").forEach((box, index) => {
    const [left, top] = state.scrolls[index] ?? [0, 0];
    box.scrollTo({ left, top, behavior: "instant" });
  });
  const mark = state.mark && document.getElementById(state.mark);
  const y = mark ? scrollY + mark.getBoundingClientRect().top - state.top : state.y;
  scrollTo({ top: y, behavior: "instant" });
}

function detailsName(details) {
  const holder = details.closest("figure")?.getAttribute("aria-labelledby") ?? details.closest("[id]")?.id;
  return `${holder} ${details.querySelector("summary")?.textContent}`;
}
