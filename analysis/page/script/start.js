// Puts the parts together. Theme and map first: they need neither the figures nor the data.

const toggle = document.querySelector(".theme");
const paintTheme = () => {
  root.dataset.theme = isDark() ? "dark" : "light";
  toggle.textContent = isDark() ? "Light" : "Dark";
};
paintTheme();
root.classList.add("scripted");

function showMap(map, view) {
  map.dataset.view = view;
  for (const button of map.querySelectorAll(".switch button")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === view));
  }
}
document.addEventListener("click", (event) => {
  const view = event.target.closest(".map .switch button");
  if (view) showMap(view.closest(".map"), view.dataset.view);
  const link = event.target.closest('.skip, nav a[href^="#"], .overview a[href^="#"]');
  if (link && page && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    page.address.goTo(link.getAttribute("href").slice(1));
  }
});

/** Brings the page to life from its data; the old plots, if any, are used again. */
function mount(data, library, plots = new Map()) {
  const studies = new Map(Object.entries(data.tables).map(([id, table]) => [id, new Study(id, table, data.about[id])]));
  const page = { studies };
  const actions = {
    open: (study, row) => page.trial.open(study, row),
    compare: (study, shown) => page.comparison.open(study, shown),
    stateChanged: () => page.address?.write(),
    picksChanged: (study) => {
      const button = study.article.querySelector('[data-do="compare"]');
      button.hidden = study.picked.size < 2;
      button.textContent = `Compare ${study.picked.size}`;
      study.table.showPicks();
    },
  };
  for (const [id, div] of plots) {
    const fresh = document.getElementById(id);
    if (!fresh) continue;
    div.style.cssText = fresh.style.cssText;  // its height
    fresh.replaceWith(div);
  }
  page.figures = new Figures(data, studies, library);
  page.trial = new TrialView(page.figures, actions);
  page.comparison = new Comparison(page.figures, actions);
  for (const study of studies.values()) {
    study.table = trialTable(study, actions);
    study.article.querySelector('[data-do="compare"]').addEventListener("click", () => actions.compare(study, ticked(study)));
    selectionBar(study, actions);
    collapseMap(study, actions);
    study.onChange(actions.picksChanged);
    study.onChange(actions.stateChanged);
  }
  page.address = new Address(page);
  settleScrollers();
  return page;
}

/** Only boxes that scroll are stops of the Tab key. */
function settleScrollers() {
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
document.addEventListener("toggle", settleScrollers, true);

let page = null;
const library = unpack("plotly").then((text) => {
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
});
page = mount(JSON.parse(await unpack("data")), library);
page.address.restore();

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  for (const study of page.studies.values()) if (study.isFiltered || study.picked.size) study.clear();
});
addEventListener("hashchange", () => page.address.restore());

const repaint = () => {
  root.dataset.ready = "no";
  paintTheme();
  page.trial.draw();
  page.comparison.draw();
  return page.figures.redrawAll();
};
toggle.addEventListener("click", () => { chosenTheme = isDark() ? "light" : "dark"; repaint(); });
prefersDark.addEventListener("change", () => { if (chosenTheme === null) repaint(); });
let width = root.clientWidth;
let resizing;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => {
    settleScrollers();
    if (root.clientWidth === width || onPaper) return;
    width = root.clientWidth;
    repaint();
  }, 150);
});

// On paper: light, everything unfolded, all that is selected in the table.
let folded = [];
addEventListener("beforeprint", () => {
  onPaper = true;
  folded = [...document.querySelectorAll("main details:not([open])")];
  for (const details of folded) details.open = true;
  for (const study of page.studies.values()) study.table.forPrint();
  page.figures.print();
});
addEventListener("afterprint", () => {
  onPaper = false;
  for (const details of folded) details.open = false;
  for (const study of page.studies.values()) study.table.repaint();
  page.figures.redrawAll();
});

follow(() => page, async (fresh) => {
  const reader = readerState(page);
  const address = page.address.text;
  const plots = page.figures.detach();
  for (const dialog of document.querySelectorAll("dialog.view")) dialog.remove();
  document.querySelector("main").replaceWith(document.adoptNode(fresh.querySelector("main")));
  document.querySelector(".bar nav").replaceWith(document.adoptNode(fresh.querySelector(".bar nav")));
  for (const block of fresh.querySelectorAll('script[type="application/gzip"]')) {
    if (block.id !== "plotly") document.getElementById(block.id)?.replaceWith(document.adoptNode(block));
  }
  page = mount(JSON.parse(await unpack("data")), library, plots);
  page.address.restore(address, { scroll: false });
  restoreReader(page, reader);
});
