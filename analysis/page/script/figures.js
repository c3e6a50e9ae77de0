// The figures: drawn when they come near the screen and else while the page is idle, dimmed where nothing of
// theirs is selected, and sources of the selection: marks, legends, ranges.

const NARROW_BELOW = 560;
const PAPER_PX = { whole: 980, half: 455 };  // in a card, on A4 across as readers.css has it
const finger = matchMedia("(pointer: coarse)");  // which scrolls where a mouse would draw

class Figures {
  /** @param library  a promise of the library that draws */
  constructor(data, studies, library) {
    Object.assign(this, { data, studies, ready: library });
    this.views = new Map();
    this.dirty = new Set(Object.keys(data.figures));
    this.bound = new Set();
    this.widths = new Map();
    for (const [id, choices] of Object.entries(data.views)) this.addChooser(id, choices);
    this.near = new Set();
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) this.near.add(entry.target.id);
        else this.near.delete(entry.target.id);
      }
      this.work();
    }, { rootMargin: "400px" });
    for (const id of this.dirty) this.watcher.observe(document.getElementById(id));
    for (const study of studies.values()) study.onChange(() => this.dimAll(study));
    library.then(() => this.work()).catch(failed);
  }

  /** Ends this drawing; returns the boxes that hold figures, to be used again. */
  detach() {
    this.watcher.disconnect();
    this.stopped = true;
    const boxes = new Map([...this.bound].map((id) => [id, document.getElementById(id)]));
    for (const div of boxes.values()) div.removeAllListeners();
    return boxes;
  }

  studyOf(id) { return this.studies.get(id.slice(0, id.indexOf("-"))); }

  addChooser(id, choices) {
    const select = document.querySelector(`select[data-for="${CSS.escape(id)}"]`);
    this.views.set(id, 0);
    select.replaceChildren(...choices.map(([name], index) => new Option(shortened(name, 80), String(index))));
    select.addEventListener("change", () => {
      this.views.set(id, Number(select.value));
      this.draw(id);
    });
  }

  /** Figure -> name of the view that is chosen. */
  get chosen() { return new Map([...this.views].map(([id, place]) => [id, this.data.views[id][place][0]])); }

  /** Chooses views by their names, where they still are, for the next drawing. */
  choose(chosen) {
    for (const id of this.views.keys()) {
      const place = this.data.views[id].findIndex(([name]) => name === chosen.get(id));
      if (place < 0) continue;
      this.views.set(id, place);
      document.querySelector(`select[data-for="${CSS.escape(id)}"]`).value = String(place);
    }
  }

  /** Draws what is out of date, what is near the screen first, and lets the page answer in between. */
  async work() {
    if (this.working || this.stopped || !window.Plotly) return;
    this.working = true;
    root.dataset.ready = "no";
    while (this.dirty.size && !this.stopped) {
      const ids = [...this.dirty];
      const id = ids.find((one) => this.near.has(one)) ?? ids[0];
      this.dirty.delete(id);
      await this.draw(id);
      await new Promise((resolve) => setTimeout(resolve));
    }
    this.working = false;
    if (!this.stopped) root.dataset.ready = "yes";
  }

  /** All figures at once, for paper. */
  print() {
    for (const id of Object.keys(this.data.figures)) this.draw(id);
  }

  redrawAll() {
    this.dirty = new Set(Object.keys(this.data.figures));
    return this.work();
  }

  inDark(value) {
    const { dark } = this.data;
    if (typeof value === "string") {
      return dark[value] ?? (value.includes("#") ? value.replace(/#[0-9a-f]{6}/g, (match) => dark[match] ?? match) : value);
    }
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map((one) => this.inDark(one));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, this.inDark(inner)]));
    }
    return value;
  }

  draw(id) {
    const div = document.getElementById(id);
    if (!div || !div.isConnected) return null;
    const { data: traces, layout: stated } = this.data.figures[id];
    const layout = structuredClone(stated);
    const width = !onPaper ? div.clientWidth : div.closest(".halves") ? PAPER_PX.half : PAPER_PX.whole;
    const patch = layout.meta && (width < NARROW_BELOW ? layout.meta.narrow : layout.meta.wide);
    for (const [path, value] of Object.entries(patch ?? {})) setPath(layout, path, value);
    layout.width = width;
    const brush = this.data.brush[id];
    if (brush && !finger.matches) {
      layout.dragmode = "select";
      layout.selectdirection = brush.x && brush.y ? "d" : brush.x ? "h" : "v";
    }
    const shown = this.views.has(id) ? new Set(this.data.views[id][this.views.get(id)][1]) : null;
    const drawn = traces.map((trace, index) => ({ ...trace, ...(shown ? { visible: shown.has(index) } : {}) }));
    const painted = isDark() ? this.inDark({ data: drawn, layout }) : { data: drawn, layout };
    const done = Plotly.react(div, painted.data, painted.layout, this.config(id));
    if (!this.bound.has(id)) this.bind(id, div);
    this.dim(id);
    settleModebar(div);
    return done;
  }

  config(id) {
    const filename = `${this.studyOf(id).about.name}-${id.slice(id.indexOf("-") + 1)}`;
    return {
      displaylogo: false, showSendToCloud: false, plotlyServerURL: "", responsive: false, displayModeBar: "hover",
      modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
      toImageButtonOptions: { format: "png", scale: 2, filename },
      modeBarButtonsToAdd: [{ name: "svg", title: "Save as SVG", icon: Plotly.Icons.disk, click: (div) => Plotly.downloadImage(div, { format: "svg", filename }) }],
    };
  }

  bind(id, div) {
    this.bound.add(id);
    const study = this.studyOf(id);
    const brush = this.data.brush[id];
    const add = (event) => study.adding || event?.shiftKey || event?.ctrlKey || event?.metaKey;
    div.on("plotly_click", ({ points, event }) => {
      const [point] = points;
      const meta = point.data.meta;
      if (typeof point.customdata === "number") study.select(`trial_id=${quoted(study.trialId(point.customdata))}`, { add: add(event) });
      else if (meta?.of) study.select(meta.of, { add: add(event) });
    });
    div.on("plotly_legendclick", ({ data, curveNumber, event }) => {
      const meta = data[curveNumber].meta;
      if (!meta?.legend) return true;
      study.select(meta.of, { add: add(event) });
      return false;
    });
    div.on("plotly_legenddoubleclick", ({ data, curveNumber }) => !data[curveNumber].meta?.legend);
    div.on("plotly_selected", (event) => {
      if (!event?.range || !brush) return;
      const bounds = Object.entries(brush).map(([axis, [column, floor]]) => {
        const key = Object.keys(event.range).find((name) => name.startsWith(axis));
        const [low, high] = [...event.range[key]].sort((a, b) => a - b).map((value) => Number(value.toPrecision(4)));
        return writeTerm({ column, low: floor !== null && low <= floor ? -Infinity : low, high });
      });
      setTimeout(() => {
        study.select(bounds.join(" "));
        this.draw(id);  // without the box that was drawn
      });
    });
    div.on("plotly_afterplot", () => { this.dim(id); settleModebar(div); });
  }

  dimAll(study) {
    for (const id of Object.keys(this.data.figures)) if (this.studyOf(id) === study) this.dim(id);
  }

  /** Marks what does not stand for a selected trial; style.css makes it pale. */
  dim(id) {
    const div = document.getElementById(id);
    const study = this.studyOf(id);
    if (!div || !study) return;
    let responds = false;
    const { data: traces } = this.data.figures[id];
    for (const trace of traces) responds ||= Boolean(trace.meta?.of) || typeof trace.customdata?.[0] === "number";
    div.closest("figure").classList.toggle("whole", !responds);
    const filtered = study.isFiltered;
    for (const group of div.querySelectorAll(".scatterlayer > .trace, .barlayer > .trace")) {
      const index = group.__data__?.[0]?.trace?.index;
      const trace = traces[index];
      if (!trace) continue;
      const rows = trace.customdata;
      if (typeof rows?.[0] === "number") {
        for (const point of group.querySelectorAll("path.point")) {
          point.classList.toggle("dim", filtered && !study.mask[rows[point.__data__.i]]);
        }
      } else if (trace.meta?.of) group.classList.toggle("dim", filtered && !study.touches(trace.meta.of));
    }
  }
}

/** The buttons of a figure are one stop of the Tab key. */
function settleModebar(div) {
  const bar = div.querySelector(".modebar");
  if (!bar || bar.dataset.settled) return;
  bar.dataset.settled = "yes";
  roving(bar, () => [...bar.querySelectorAll("button, a")]);
}

function setPath(target, path, value) {
  const keys = path.split(".");
  const last = keys.pop();
  for (const key of keys) target = target[key] ??= {};
  target[last] = value;
}
