// Cells or trials side by side, what differs between them marked.

const TELLING = 0.1;
const COMPARED_UP_TO = 8;
const SHOWN_IN_CELLS = ["knn_accuracy", "knn_accuracy_start", "representation_std", "projection_std", "effective_rank", "loss", "onset_step", "steps_run"];

/** The trials that were ticked. Null without two. */
function ticked(study) {
  const picked = [...study.picked].sort((a, b) => a - b);
  return picked.length > 1 ? { kind: "trials", items: picked.slice(0, COMPARED_UP_TO), of: picked.length } : null;
}

/** Of what is selected, what would be compared: cells, else trials. Null without two. */
function comparable(study) {
  const rows = study.selectedRows;
  if (!study.isFiltered || rows.length < 2) return null;
  const cells = [...new Set(rows.map((row) => study.cells[row]))].filter((cell) => cell !== null);
  if (cells.length > 1) return { kind: "cells", items: cells.slice(0, COMPARED_UP_TO), of: cells.length };
  return { kind: "trials", items: rows.slice(0, COMPARED_UP_TO), of: rows.length };
}

class Comparison {
  constructor(figures, actions) {
    this.figures = figures;
    this.actions = actions;
    this.dialog = make("dialog", { className: "view compare-view" });
    this.dialog.setAttribute("aria-labelledby", "compare-title");
    document.body.append(this.dialog);
    this.dialog.addEventListener("close", () => { this.shown = null; this.dialog.replaceChildren(); actions.stateChanged(); });
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
  }

  get isOpen() { return this.dialog.open; }

  /** The address's text for what is compared. */
  get text() {
    if (!this.isOpen || !this.shown) return "";
    const { kind, items } = this.shown;
    return `${kind}:${items.map((item) => (kind === "cells" ? this.study.cellIds[item] : this.study.trialId(item))).map(encodeURIComponent).join(",")}`;
  }

  openText(study, text) {
    const [kind, names = ""] = text.split(":");
    let read;
    try { read = names.split(",").map(decodeURIComponent); } catch { return; }  // an address that was cut or mistyped
    const items = read.map((name) => (kind === "cells" ? study.cellOf.get(name) ?? -1 : study.rowOf(name)));
    const known = items.filter((item) => item >= 0);
    if (known.length > 1) this.open(study, { kind, items: known, of: known.length });
  }

  open(study, shown) {
    if (!shown) return;
    Object.assign(this, { study, shown });
    this.fill();
    if (!this.isOpen) this.dialog.showModal();
    this.dialog.querySelector("h2").focus();
    this.draw();
    this.actions.stateChanged();
  }

  colour(place) {
    const { lines } = this.figures.data.colours;
    return lines[place % lines.length];
  }

  fill() {
    const { kind, items, of } = this.shown;
    const close = make("button", { type: "button", title: "Close (Escape)" }, "×");
    close.setAttribute("aria-label", "Close (Escape)");
    close.addEventListener("click", () => this.dialog.close());
    const only = make("input", { type: "checkbox", checked: Boolean(this.only) });
    only.addEventListener("change", () => { this.only = only.checked; this.table.classList.toggle("only", this.only); });
    this.plot = make("div", { className: "curves", role: "figure" });
    this.plot.setAttribute("aria-label", `Curves of these ${kind}; their values are in the table`);
    this.table = this.makeTable();
    this.table.classList.toggle("only", Boolean(this.only));
    const more = of > items.length ? `The first ${items.length} of ${of} selected. ` : "";
    this.dialog.replaceChildren(
      make("header", { className: "view-bar" }, make("label", {}, only, " only what differs"), make("span", { className: "grow" }), close),
      make("h2", { id: "compare-title", tabIndex: -1 }, `${items.length} ${kind} side by side`),
      make("p", { className: "note" }, `${more}${kind === "cells" ? "Values of a cell are means over its trials that ran to their planned end, those of onset_step and steps_run over all, with the least and the greatest. Marked: what differs, of values those whose ranges lie apart. " : `Marked: what differs, of measured values those that differ by more than ${100 * TELLING} %. `}Solid: representation; dashed: projection.`),
      this.table, this.plot,
    );
  }

  makeTable() {
    const { study, shown } = this;
    const rows = shown.kind === "cells" ? this.cellRows() : this.trialRows();
    const names = shown.items.map((item) => (shown.kind === "cells" ? study.cellNames[item] : study.trialLabel(item)));
    const head = make("tr", {}, make("th", { scope: "col" }), ...names.map((name, place) => {
      const swatch = make("span", { className: "swatch" });
      swatch.style.background = isDark() ? this.figures.inDark(this.colour(place)) : this.colour(place);
      return make("th", { scope: "col", title: shortened(name, 2000) }, swatch, make("bdi", {}, shortened(name, 90)));
    }));
    const body = rows.map(({ name, texts, differs }) => {
      const tr = make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, name)), ...texts.map((text) => make("td", {}, make("bdi", {}, text))));
      tr.classList.toggle("differs", differs);
      return tr;
    });
    return make("div", { className: "scroll", tabIndex: 0 }, make("table", { className: "facts side" }, make("thead", {}, head), make("tbody", {}, ...body)));
  }

  trialRows() {
    const { study, shown } = this;
    const stated = new Set(["seed", "steps_planned", ...study.about.factors.map((factor) => factor.column)]);
    return study.columns.map(({ name, number }) => {
      const values = shown.items.map((row) => study.value(row, name));
      const differs = number && !stated.has(name) ? apart(values.map((value) => [value, value]), TELLING) : unlike(values);
      return { name, texts: values.map((value) => shortened(display(value), 400)), differs };
    }).filter(({ texts }) => texts.some((text) => text !== "–"));
  }

  cellRows() {
    const { study, shown } = this;
    const rowsOf = shown.items.map((cell) => study.cells.flatMap((other, row) => (other === cell ? [row] : [])));
    const levels = study.about.factors.map(({ column }) => {
      const values = rowsOf.map(([row]) => study.value(row, column));
      return { name: column, texts: values.map(display), differs: unlike(values) };
    });
    const count = (name, test) => {
      const texts = rowsOf.map((rows) => `${rows.filter(test).length} of ${rows.length}`);
      return { name, texts, differs: unlike(texts) };
    };
    const outcomes = [...new Set(rowsOf.flat().map((row) => study.value(row, "outcome")))].sort();
    const counts = outcomes.map((outcome) => count(outcome, (row) => study.value(row, "outcome") === outcome));
    counts.push(count("projection collapsed", (row) => study.value(row, "projection_collapsed") === true));
    const means = SHOWN_IN_CELLS.filter((name) => study.place.has(name)).map((name) => {
      const ranges = rowsOf.map((rows) => meanOf(study, rows, name));
      return { name, texts: ranges.map(meanText), differs: apart(ranges.map(({ least, most }) => [least, most])) };
    });
    return [...levels, ...counts, ...means];
  }

  draw() {
    if (!this.isOpen) return;
    const { study, shown } = this;
    const lines = shown.items.flatMap((item, place) => {
      const rows = shown.kind === "cells" ? study.cells.flatMap((cell, row) => (cell === item ? [row] : [])).slice(0, 10) : [item];
      const name = shown.kind === "cells" ? study.cellNames[item] : study.trialLabel(item);
      return rows.map((row) => ({ row, label: name, colour: this.colour(place), faint: rows.length > 4 }));
    });
    this.figures.ready.then(() => drawCurves(this.plot, study, lines, this.figures, `${shown.kind}-compared`)).catch(failed);
  }
}

const unlike = (values) => new Set(values).size > 1;

/** Whether any two of the ranges lie apart, by more than a share of the larger; or some are unknown and others not. */
function apart(ranges, share = 0) {
  const known = ranges.filter((range) => range.every((end) => typeof end === "number"));
  if (known.length < ranges.length) return unlike(ranges.map(String));
  const [low, high] = [Math.max(...known.map(([least]) => least)), Math.min(...known.map(([, most]) => most))];
  return low > high && low - high > share * Math.max(Math.abs(low), Math.abs(high));
}

/**
 * Mean, least and greatest of a column over some trials; null without values. As in the map, only trials that ran
 * to their planned end count, but for what says when a trial ended.
 */
function meanOf(study, rows, name) {
  const counted = ["onset_step", "steps_run"].includes(name) ? rows : rows.filter((row) => study.fullLength[row]);
  const known = counted.map((row) => study.value(row, name)).filter((value) => typeof value === "number");
  if (!known.length) return { mean: null, least: null, most: null };
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return { mean, least: Math.min(...known), most: Math.max(...known) };
}

function meanText({ mean, least, most }) {
  if (mean === null) return "–";
  return least === most ? display(mean) : `${display(mean)} (${display(least)} to ${display(most)})`;
}
