// The language of the filter, which is also that of the chips and of the address: `predictor=none knn>0.7 word`.
// A term is {column, values, not} or {column, low, high, lowOpen, highOpen} or {words}.

const OPERATORS = /(!=|>=|<=|=|>|<)/;

/** Splits at spaces and reads each piece. Quotes, as in JSON, hold a word together. */
function readTerms(text, table) {
  const pieces = text.match(/(?:"(?:[^"\\]|\\.)*"?|[^\s"])+/g) ?? [];
  return merged(pieces.map((piece) => readTerm(piece, table)));
}

/** Two bounds of one column are one range. */
function merged(terms) {
  const kept = [];
  for (const term of terms) {
    const other = kept.find((one) => term.column !== undefined && isRange(one) && isRange(term) && one.column === term.column);
    if (!other) { kept.push(term); continue; }
    if (term.low > other.low) Object.assign(other, { low: term.low, lowOpen: term.lowOpen });
    if (term.high < other.high) Object.assign(other, { high: term.high, highOpen: term.highOpen });
  }
  return kept;
}

const isRange = (term) => term.low !== undefined;

function readTerm(piece, table) {
  const outside = piece.replace(/"(?:[^"\\]|\\.)*"?/g, (quoted) => "\u0000".repeat(quoted.length));
  const sign = outside.match(OPERATORS);
  if (!sign || sign.index === 0) return { words: unquoted(piece) };
  const name = unquoted(piece.slice(0, sign.index));
  const column = table.columnNamed(name);
  const right = piece.slice(sign.index + sign[0].length);
  if (column === null) return { words: piece, unknown: name };
  const bounds = right.match(/^(-?[\d.eE+-]*\d%?)\.\.(-?[\d.eE+-]+%?)$/);
  if (sign[0] === "=" && bounds) {
    return { column, low: number(bounds[1]), high: number(bounds[2]), lowOpen: false, highOpen: false };
  }
  if (sign[0] === "=" || sign[0] === "!=") {
    const values = (right.match(/(?:"(?:[^"\\]|\\.)*"?|[^,"])+/g) ?? [""]).map(unquoted);
    return { column, values, not: sign[0] === "!=" };
  }
  const bound = number(right);
  const open = sign[0].length === 1;
  return sign[0][0] === ">"
    ? { column, low: bound, high: Infinity, lowOpen: open, highOpen: false }
    : { column, low: -Infinity, high: bound, lowOpen: false, highOpen: open };
}

const number = (text) => (text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : text.trim() === "" ? NaN : Number(text));

function unquoted(text) {
  if (!text.includes('"')) return text;
  return text.replace(/"(?:[^"\\]|\\.)*"?/g, (quoted) => {
    try { return JSON.parse(quoted); } catch { return quoted.replaceAll('"', ""); }
  });
}

const quoted = (word) => (/^[\p{L}\p{N}_.][\p{L}\p{N}_.+-]*$/u.test(word) && !word.includes("..") ? word : JSON.stringify(word));

/** A term as text that reads back as the same term. */
function writeTerm(term) {
  if (term.words !== undefined) return quoted(term.words);
  const name = quoted(term.column);
  if (!isRange(term)) return `${name}${term.not ? "!=" : "="}${term.values.map(quoted).join(",")}`;
  if (term.low > -Infinity && term.high < Infinity && !term.lowOpen && !term.highOpen) return `${name}=${term.low}..${term.high}`;
  const low = term.low > -Infinity || Number.isNaN(term.low) ? `${name}${term.lowOpen ? ">" : ">="}${term.low}` : "";
  const high = term.high < Infinity ? `${name}${term.highOpen ? "<" : "<="}${term.high}` : "";
  return [low, high].filter(Boolean).join(" ");
}

/** A term as a reader sees it on its chip. */
function termLabel(term, table) {
  if (term.words !== undefined) return term.unknown ? `no column “${shortened(term.unknown, 30)}”` : `“${shortened(term.words, 40)}”`;
  if (isRange(term)) {
    const low = term.low > -Infinity ? `${display(term.low)} ${term.lowOpen ? "<" : "≤"} ` : "";
    const high = term.high < Infinity ? ` ${term.highOpen ? "<" : "≤"} ${display(term.high)}` : "";
    return `${low}${shortened(term.column, 40)}${high}`;
  }
  const shown = term.values.slice(0, 3).map((value) => shortened(table.valueLabel(term.column, value), 60)).join(" or ");
  const more = term.values.length > 3 ? ` or ${term.values.length - 3} more` : "";
  if (term.column === "cell") return `${term.not ? "not " : ""}${shown}${more}`;
  return `${shortened(term.column, 40)} ${term.not ? "≠" : "="} ${shown}${more}`;
}

/** Clears the mask wherever a trial does not meet the term. */
function applyTerm(term, table, mask) {
  if (term.words !== undefined) {
    const wanted = term.words.toLowerCase();
    const texts = table.texts();
    for (let row = 0; row < mask.length; row += 1) if (!texts[row].includes(wanted)) mask[row] = 0;
    return;
  }
  const values = table.values(term.column);
  if (isRange(term)) {
    const { low, high, lowOpen, highOpen } = term;
    for (let row = 0; row < mask.length; row += 1) {
      const raw = values[row];
      const value = raw === null || raw === "" || typeof raw === "boolean" ? NaN : Number(raw);
      if (!((lowOpen ? value > low : value >= low) && (highOpen ? value < high : value <= high))) mask[row] = 0;
    }
    return;
  }
  const tests = term.values.map((value) => testOf(value, term.column, table));
  for (let row = 0; row < mask.length; row += 1) {
    if (tests.some((meets) => meets(row)) === term.not) mask[row] = 0;
  }
}

/** Which rows a value means: those that are it, else those that are it in other letters, else its beginnings. */
function testOf(value, column, table) {
  const [values, shown, lowered] = [table.values(column), table.shown(column), table.lowered(column)];
  if (table.index(column).has(value)) return (row) => shown[row] === value;
  const lower = value.toLowerCase();
  if (lowered.includes(lower)) return (row) => lowered[row] === lower;
  if (value.trim() === "") return () => false;
  const asNumber = Number(value);  // 1.0 for 1; but 1 is no beginning of 10
  return (row) => (typeof values[row] === "number" ? values[row] === asNumber : lowered[row].startsWith(lower));
}
