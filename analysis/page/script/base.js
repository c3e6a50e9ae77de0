// What all parts of the page's script share. The files of this folder are joined in the order that report.py
// states, and run as one.
const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let chosenTheme = null;
let onPaper = false;
const isDark = () => !onPaper && (chosenTheme ?? (prefersDark.matches ? "dark" : "light")) === "dark";

/** An element with properties and children; strings become text, so nothing is ever read as markup. */
function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && !name.startsWith("aria")) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** The bytes of a gzipped block of the page. */
async function unpackBytes(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Its text. */
const unpack = async (id) => new TextDecoder().decode(await unpackBytes(id));

/** A value of the table of trials as it is shown. */
function display(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** A text of at most so many letters. */
const shortened = (text, most = 60) => (text.length > most ? `${[...text].slice(0, most - 1).join("")}…` : text);

/** Copies a text; says whether it could. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {  // a page that was opened from a file may not be allowed to
    const area = make("textarea", { value: text, className: "unseen" });
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

/** Saves a text as a file. */
function saveText(text, name, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/**
 * One tab stop for many things: the arrow keys move among them, to the side in their order, up and down to the
 * nearest.
 * @param items  gives the elements, in order
 */
function roving(box, items) {
  const settle = (chosen) => {
    for (const item of items()) item.tabIndex = item === chosen ? 0 : -1;
  };
  box.addEventListener("focusin", (event) => {
    if (items().includes(event.target)) settle(event.target);
  });
  box.addEventListener("keydown", (event) => {
    const all = items();
    const place = all.indexOf(event.target);
    if (place < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const next = {
      ArrowRight: () => all[place + 1], ArrowLeft: () => all[place - 1], Home: () => all[0], End: () => all.at(-1),
      ArrowDown: () => nearest(all, all[place], 1), ArrowUp: () => nearest(all, all[place], -1),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    const item = next();
    if (item) { settle(item); item.focus(); }
  });
  settle(items()[0]);
}

/** The nearest of the items below one, or above it. */
function nearest(items, from, down) {
  const start = from.getBoundingClientRect();
  let found, least = Infinity;
  for (const item of items) {
    const box = item.getBoundingClientRect();
    const away = down > 0 ? box.top - start.bottom : start.top - box.bottom;
    const distance = away + 2 * Math.abs(box.left + box.width / 2 - start.left - start.width / 2);
    if (away > -3 && distance < least) [found, least] = [item, distance];
  }
  return found;
}
