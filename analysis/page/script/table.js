// The table of trials: sorted, in pages, of what is selected; its filter is part of the selection.

const PAGE_ROWS = 25;
const PRINTED_ROWS = 2000;

function trialTable(study, actions) {
  const { columns, rows } = study;
  const box = study.article.querySelector(".trials-box");
  const [search, outcomes, status] = ["input", "select", ".count"].map((name) => box.querySelector(name));
  const [before, after, all, csv] = ["before", "after", "all", "csv"].map((name) => box.querySelector(`[data-do="${name}"]`));
  let sortColumn = null, descending = false, firstRow = 0, shown = [];
  const outcomeColumn = study.place.get("outcome");
  const kept = outcomes.value;
  outcomes.replaceChildren(outcomes.options[0]);
  for (const name of [...new Set(rows.map((row) => row[outcomeColumn]))].sort()) outcomes.add(new Option(name, name));
  outcomes.value = kept;

  const compare = (a, b) => {
    const [x, y] = [rows[a][sortColumn], rows[b][sortColumn]];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;  // unknown last, either way
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return (descending ? -order : order) || a - b;
  };
  const line = (row) => {
    const open = make("button", { type: "button", className: "open", "aria-label": `Open ${shortened(study.trialLabel(row), 200)}` }, "Open");
    const pick = make("input", { type: "checkbox", checked: study.picked.has(row), title: "Compare" });
    pick.setAttribute("aria-label", "Compare this trial");
    const tr = make("tr", {}, make("td", { className: "first" }, pick, open));
    tr.dataset.row = row;
    columns.forEach((column, place) => {
      const value = rows[row][place];
      const cell = make("td", {}, make("bdi", {}, display(value)));
      if (column.number) cell.className = "number";
      if (column.name === "outcome") cell.className = `outcome ${value}`;
      if (typeof value === "string" && value.length > 24) { cell.classList.add("long"); cell.title = shortened(value, 2000); }
      tr.append(cell);
    });
    return tr;
  };
  const paint = (count = PAGE_ROWS) => {
    const body = make("tbody", {}, ...shown.slice(firstRow, firstRow + count).map(line));
    box.querySelector("tbody").replaceWith(body);
    roving(body, () => [...body.querySelectorAll("input, button")]);
    const last = Math.min(firstRow + count, shown.length);
    status.textContent = `${shown.length ? firstRow + 1 : 0}–${last} of ${shown.length}` +
      (shown.length < rows.length ? ` (${rows.length} in all)` : "");
    before.disabled = firstRow === 0;
    after.disabled = last >= shown.length;
    all.hidden = !study.isFiltered;
    const cut = box.querySelector("caption.cut");
    cut.hidden = count <= PAGE_ROWS || last >= shown.length;
    cut.textContent = `The first ${last.toLocaleString("en")} of ${shown.length.toLocaleString("en")} trials.`;
  };
  const fill = () => {
    shown = study.selectedRows;
    if (sortColumn !== null) shown.sort(compare);
    firstRow = 0;
    paint();
  };
  const heads = [...box.querySelectorAll("th[scope=col]")].slice(1);
  const sortBy = (place, down) => {
    sortColumn = place;
    descending = down;
    for (const other of heads) other.removeAttribute("aria-sort");
    if (place !== null) heads[place].setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    sortBy(place, sortColumn === place && !descending);
    fill();
    actions.stateChanged();
  }));
  const headRow = box.querySelector("thead tr");
  roving(headRow, () => heads.map((head) => head.querySelector("button")));

  let timer;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    const apply = () => { study.typed = search.value; study.changed(); };
    if (rows.length > 2000) timer = setTimeout(apply, 120);
    else apply();
  });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    clearTimeout(timer);
    study.typed = search.value;
    study.terms = merged([...study.terms, ...readTerms(study.typed, study)]);
    study.typed = "";
    study.changed();
  });
  outcomes.addEventListener("change", () => {
    study.terms = study.terms.filter((term) => term.column !== "outcome");
    if (outcomes.value) study.terms.push({ column: "outcome", values: [outcomes.value], not: false });
    study.changed();
  });
  before.addEventListener("click", () => { firstRow -= PAGE_ROWS; paint(); });
  after.addEventListener("click", () => { firstRow += PAGE_ROWS; paint(); });
  all.addEventListener("click", () => study.restore(""));  // what is ticked stays
  csv.addEventListener("click", () => {
    // Text that begins like a formula is marked as text, so that a spreadsheet does not run it.
    const quote = (value) => value === null ? "" : typeof value === "string"
      ? `"${(/^[=+\-@\t\r]/.test(value) ? "'" : "") + value.replaceAll('"', '""')}"` : String(value);
    const lines = [columns.map((column) => quote(column.name)), ...shown.map((index) => rows[index].map(quote))];
    saveText(lines.map((one) => one.join(",")).join("\r\n") + "\r\n", `${study.id}-trials.csv`, "text/csv");
  });
  box.querySelector("table").addEventListener("click", (event) => {
    const tr = event.target.closest("tbody tr");
    if (!tr) return;
    const row = Number(tr.dataset.row);
    if (event.target.closest(".open")) return actions.open(study, row);
    if (event.target.matches("input")) {
      if (event.target.checked) study.picked.add(row);
      else study.picked.delete(row);
      return actions.picksChanged(study);
    }
    if (!getSelection().isCollapsed) return undefined;  // somebody copies a value
    return study.select(`trial_id=${quoted(study.trialId(row))}`, { add: study.adding || event.shiftKey || event.ctrlKey || event.metaKey });
  });
  study.onChange(() => {
    if (document.activeElement !== search || study.typed === "") search.value = study.typed;
    const chosen = study.terms.find((term) => term.column === "outcome");
    outcomes.value = chosen && !chosen.not && chosen.values.length === 1 ? chosen.values[0] : "";
    fill();
  });
  fill();
  return {
    get shown() { return shown; },
    get state() { return sortColumn === null ? "" : `${descending ? "-" : ""}${columns[sortColumn].name}`; },
    set state(text) {
      const place = columns.findIndex((column) => column.name === text.replace(/^-/, ""));
      if (place >= 0) { sortBy(place, text.startsWith("-")); fill(); }
    },
    get first() { return firstRow; },
    set first(row) { if (row < shown.length) { firstRow = row; paint(); } },
    repaint: () => paint(),
    forPrint: () => { const first = firstRow; firstRow = 0; paint(PRINTED_ROWS); firstRow = first; },
    showPicks() {
      for (const tr of box.querySelectorAll("tbody tr")) tr.querySelector("input").checked = study.picked.has(Number(tr.dataset.row));
    },
  };
}
