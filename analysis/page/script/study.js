// A study's trials and what is selected of them. All views ask `mask` and are told by `onChange`.

class Study {
  constructor(id, { columns, rows, fullLength, cells, cellNames, cellIds }, about) {
    Object.assign(this, { id, columns, rows, fullLength, about, cells, cellNames, cellIds });
    this.article = document.querySelector(`article[data-study="${CSS.escape(id)}"]`);
    this.place = new Map(columns.map((column, index) => [column.name, index]));
    this.cellOf = new Map(cellIds.map((cell, index) => [cell, index]));
    this.columnCache = new Map();
    this.rowsCache = new Map();
    this.terms = [];
    this.typed = "";
    this.picked = new Set();  // rows that are ticked, to be compared
    this.adding = false;
    this.mask = new Uint8Array(rows.length).fill(1);
    this.count = rows.length;
    this.listeners = [];
  }

  /** The name of the column that is meant: its own name, a short one, or its beginning; null without one. */
  columnNamed(name) {
    const lower = name.toLowerCase();
    if (!lower) return null;
    const names = this.columns.map((column) => column.name);
    const own = names.find((one) => one === name) ?? names.find((one) => one.toLowerCase() === lower);
    if (own !== undefined) return own;
    if (lower === "cell" && this.cellIds.length) return "cell";
    if (lower === "trial") return "trial_id";
    return names.find((one) => one.toLowerCase().startsWith(lower)) ?? names.find((one) => one.toLowerCase().includes(lower)) ?? null;
  }

  values(column) {
    return this.cached(`v ${column}`, () => {
      if (column === "cell" && !this.place.has("cell")) return this.cells.map((cell) => (cell === null ? null : this.cellIds[cell]));
      const place = this.place.get(column);
      return this.rows.map((row) => row[place]);
    });
  }

  shown(column) {
    return this.cached(`s ${column}`, () => this.values(column).map((value) => (value === null ? "–"
      : typeof value === "boolean" ? (value ? "yes" : "no") : String(value))));
  }

  lowered(column) {
    return this.cached(`l ${column}`, () => this.shown(column).map((value) => value.toLowerCase()));
  }

  texts() {
    return this.cached("texts", () => this.rows.map((row, index) => {
      const cell = this.cells[index];
      const words = row.filter((value) => value !== null);
      return [...words, cell === null ? "" : this.cellNames[cell]].join("\u0001").toLowerCase();
    }));
  }

  cached(key, build) {
    if (!this.columnCache.has(key)) this.columnCache.set(key, build());
    return this.columnCache.get(key);
  }

  valueLabel(column, value) {
    if (column === "cell" && this.cellOf.has(value)) return this.cellNames[this.cellOf.get(value)];
    return value;
  }

  value(row, column) {
    const place = this.place.get(column);
    return place === undefined ? null : this.rows[row][place];
  }

  trialId(row) { return String(this.value(row, "trial_id")); }

  trialLabel(row) {
    const cell = this.cells[row];
    const name = cell === null ? `trial ${this.trialId(row)}` : this.cellNames[cell];
    const seed = this.value(row, "seed");
    return seed === null ? name : `${name}, seed ${display(seed)}`;
  }

  rowOf(trial) { return this.values("trial_id").findIndex((value) => String(value) === trial); }

  /** What a column shows -> the rows that show it. */
  index(column) {
    return this.cached(`i ${column}`, () => {
      const rows = new Map();
      this.shown(column).forEach((value, row) => {
        if (rows.has(value)) rows.get(value).push(row);
        else rows.set(value, [row]);
      });
      return rows;
    });
  }

  /** The rows of the trials that a filter's text selects. */
  rowsOf(text) {
    if (!this.rowsCache.has(text)) this.rowsCache.set(text, this.rowsOfTerms(readTerms(text, this)));
    return this.rowsCache.get(text);
  }

  rowsOfTerms(terms) {
    const [first] = terms;
    const simple = terms.length === 1 && first.values?.length === 1 && !first.not;  // one cell, one level: nearly always
    const found = simple && this.index(first.column).get(first.values[0]);
    if (found) return found;
    const mask = new Uint8Array(this.rows.length).fill(1);
    for (const term of terms) applyTerm(term, this, mask);
    return rowsIn(mask);
  }

  get allTerms() { return [...this.terms, ...readTerms(this.typed, this)]; }
  get isFiltered() { return this.terms.length > 0 || this.typed.trim() !== ""; }

  /** The whole selection as text, from which `restore` makes it again. */
  get text() { return [...this.terms.map(writeTerm), this.typed.trim()].filter(Boolean).join(" "); }

  /**
   * Selects what the terms say instead of what their columns said before; with `add`, as well as that. A click on
   * what is selected already takes it away; of several terms one by one would take what two groups share.
   */
  select(text, { add = false } = {}) {
    const fresh = readTerms(text, this);
    this.typed = readTerms(this.typed, this).filter((one) => !fresh.some((term) => term.column === one.column)).map(writeTerm).join(" ");
    const same = fresh.every((term) => this.terms.some((one) => writeTerm(one) === writeTerm(term)));
    for (const term of fresh) {
      const old = this.terms.findIndex((one) => one.column !== undefined && one.column === term.column && isRange(one) === isRange(term));
      if (same) this.terms = this.terms.filter((one) => writeTerm(one) !== writeTerm(term));
      else if (old >= 0 && add && !isRange(term) && !this.terms[old].not) this.terms[old] = fresh.length > 1 ? united(this.terms[old], term) : toggled(this.terms[old], term);
      else if (old >= 0) this.terms[old] = term;
      else this.terms.push(term);
    }
    this.terms = this.terms.filter((term) => isRange(term) || term.words !== undefined || term.values.length);
    this.changed();
  }

  remove(term) {
    const text = writeTerm(term);
    this.terms = this.terms.filter((one) => writeTerm(one) !== text);
    this.typed = readTerms(this.typed, this).filter((one) => writeTerm(one) !== text).map(writeTerm).join(" ");
    this.changed();
  }

  clear() {
    this.picked.clear();
    this.restore("");
  }

  restore(text) {
    this.terms = readTerms(text, this);
    this.typed = "";
    this.changed();
  }

  changed() {
    this.mask.fill(1);
    for (const term of this.allTerms) applyTerm(term, this, this.mask);
    this.count = this.mask.reduce((sum, one) => sum + one, 0);
    for (const listener of this.listeners) listener(this);
  }

  onChange(listener) { this.listeners.push(listener); }

  /** The rows of the selected trials. */
  get selectedRows() { return rowsIn(this.mask); }

  /** Whether any selected trial is among those of a filter's text. */
  touches(text) { return this.rowsOf(text).some((row) => this.mask[row]); }
}

/** The places of the ones in a mask. */
function rowsIn(mask) {
  const found = [];
  mask.forEach((one, row) => { if (one) found.push(row); });
  return found;
}

/** A term with the other's values, too. */
const united = (term, other) => ({ ...term, values: [...new Set([...term.values, ...other.values])] });

/** A term with the other's values, less those that both have. */
function toggled(term, other) {
  const values = term.values.filter((value) => !other.values.includes(value));
  return { ...term, values: [...values, ...other.values.filter((value) => !term.values.includes(value))] };
}
