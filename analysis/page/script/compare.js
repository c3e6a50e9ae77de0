// Cells or trials side by side, what differs between them marked.

const TELLING = 0.1;
const COMPARED_UP_TO = 8;
const SHOWN_IN_CELLS = ["knn_accuracy", "knn_accuracy_start", "representation_std", "projection_std", "effective_rank", "loss", "onset_step", "steps_run"];

/** What would be compared: trials that were picked, else selected cells, else selected trials. Null without two. */
function comparable(study) {
  const picked = [...study.picked].sort((a, b) => a - b);
  if (picked.length > 1) return { kind: "trials", items: picked.slice(0, COMPARED_UP_TO), of: picked.length };
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
    const items = names.split(",").map(decodeURIComponent).map((name) => (kind === "cells" ? study.cellOf.get(name) ?? -1 : study.rowOf(name)));
    const known = items.filter((item) => item >= 0);
    if (known.length > 1) this.open(study, { kind, items: known, of: known.length });
  }

  open(study, shown = comparable(study)) {
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
    this.plot = make("div", { className: "curves", role: "img" });
    this.plot.setAttribute("aria-label", `Curves of these ${kind}; their values are in the table`);
    this.table = this.makeTable();
    this.table.classList.toggle("only", Boolean(this.only));
    const more = of > items.length ? `The first ${items.length} of ${of} selected. ` : "";
    this.dialog.replaceChildren(
      make("header", { className: "view-bar" }, make("label", {}, only, " only what differs"), make("span", { className: "grow" }), close),
      make("h2", { id: "compare-title", tabIndex: -1 }, `${items.length} ${kind} side by side`),
      make("p", { className: "note" }, `${more}${kind === "cells" ? "Values of a cell are means over its trials, with the least and the greatest. Marked: what differs, of values those whose ranges lie apart. " : `Marked: what differs, of values those that differ by more than ${100 * TELLING} %. `}Solid: representation; dashed: projection.`),
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
    const differing = (values) => {
      const known = values.filter((value) => value !== "–");
      const ranges = known.map(rangeOf);
      if (known.length < values.length || ranges.some((range) => range === null)) return new Set(values).size > 1;
      const [low, high] = [Math.max(...ranges.map(([least]) => least)), Math.min(...ranges.map(([, most]) => most))];
      return low > high && (shown.kind === "cells" || low - high > TELLING * Math.max(Math.abs(low), Math.abs(high)));
    };
    const body = rows.map(([name, ...values]) => {
      const tr = make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, name)), ...values.map((value) => make("td", {}, make("bdi", {}, value))));
      tr.classList.toggle("differs", differing(values));
      return tr;
    });
    return make("div", { className: "scroll", tabIndex: 0 }, make("table", { className: "facts side" }, make("thead", {}, head), make("tbody", {}, ...body)));
  }

  trialRows() {
    const { study, shown } = this;
    return study.columns.map((column) => [column.name, ...shown.items.map((row) => shortened(display(study.value(row, column.name)), 400))])
      .filter(([, ...values]) => values.some((value) => value !== "–"));
  }

  cellRows() {
    const { study, shown } = this;
    const rowsOf = shown.items.map((cell) => study.cells.flatMap((other, row) => (other === cell ? [row] : [])));
    const levels = study.about.factors.map((factor) => [factor.name, ...rowsOf.map(([row]) => display(study.value(row, factor.name)))]);
    const count = (name, test) => [name, ...rowsOf.map((rows) => `${rows.filter(test).length} of ${rows.length}`)];
    const outcomes = [...new Set(rowsOf.flat().map((row) => study.value(row, "outcome")))].sort();
    const counts = outcomes.map((outcome) => count(outcome, (row) => study.value(row, "outcome") === outcome));
    counts.push(count("projection collapsed", (row) => study.value(row, "projection_collapsed") === true));
    const means = SHOWN_IN_CELLS.filter((name) => study.place.has(name)).map((name) => [name, ...rowsOf.map((rows) => meanText(rows.map((row) => study.value(row, name))))]);
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
    this.figures.ready.then(() => drawCurves(this.plot, study, lines, this.figures)).catch(failed);
  }
}

/** The range that a measured value's text states; null for a whole number or for words. */
function rangeOf(text) {
  const ends = text.match(/^(\S+)(?: \((\S+) to (\S+)\))?$/);
  if (!ends || !/[.e]/.test(text)) return null;
  const range = (ends[2] === undefined ? [ends[1], ends[1]] : [ends[2], ends[3]]).map(Number);
  return range.some(Number.isNaN) ? null : range;
}

function meanText(values) {
  const known = values.filter((value) => typeof value === "number");
  if (!known.length) return "–";
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  const [least, most] = [Math.min(...known), Math.max(...known)];
  return least === most ? display(mean) : `${display(mean)} (${display(least)} to ${display(most)})`;
}
