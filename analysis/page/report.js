"use strict";
(async () => {
  const root = document.documentElement;
  const narrowBelow = 560;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  let chosenTheme = null;
  const isDark = () => (chosenTheme ?? (prefersDark.matches ? "dark" : "light")) === "dark";

  // Theme and map first: they need neither the figures nor the data.
  const toggle = document.querySelector(".theme");
  const paintTheme = () => {
    root.dataset.theme = isDark() ? "dark" : "light";
    toggle.textContent = isDark() ? "Light" : "Dark";
  };
  paintTheme();
  for (const map of document.querySelectorAll(".map")) {
    map.querySelector(".switch").addEventListener("click", (event) => {
      const view = event.target.dataset.view;
      if (!view) return;
      map.dataset.view = view;
      for (const button of map.querySelectorAll(".switch button")) {
        button.setAttribute("aria-pressed", String(button.dataset.view === view));
      }
    });
  }

  const unpack = async (id) => {
    const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const data = JSON.parse(await unpack("data"));

  // The table of trials.
  const tables = new Map();
  for (const [id, table] of Object.entries(data.tables)) tables.set(id, trialTable(id, table));
  document.addEventListener("click", (event) => {
    const tile = event.target.closest("button.tile");
    if (!tile) return;
    const table = tables.get(tile.closest("[data-study]").dataset.study);
    if (table) table.showCell(tile.dataset.cell);
  });

  // Figures.
  const library = document.createElement("script");
  library.textContent = await unpack("plotly");
  document.head.append(library);
  const config = {
    displaylogo: false, showSendToCloud: false, plotlyServerURL: "", responsive: false, displayModeBar: "hover",
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg", filename: "figure" },
  };
  const inDark = (value) => {
    if (typeof value === "string") {
      return data.dark[value] ?? value.replace(/#[0-9a-f]{6}/g, (match) => data.dark[match] ?? match);
    }
    if (Array.isArray(value)) return value.map(inDark);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inDark(inner)]));
    }
    return value;
  };
  const setPath = (target, path, value) => {
    const keys = path.split(".");
    const last = keys.pop();
    for (const key of keys) target = target[key] ??= {};
    target[last] = value;
  };
  const views = new Map();
  const draw = (id) => {
    const div = document.getElementById(id);
    const source = structuredClone(data.figures[id]);
    const layout = source.layout;
    const patch = layout.meta && (div.clientWidth < narrowBelow ? layout.meta.narrow : layout.meta.wide);
    for (const [path, value] of Object.entries(patch ?? {})) setPath(layout, path, value);
    layout.width = div.clientWidth;
    const shown = views.get(id);
    if (shown) source.data.forEach((trace, index) => { trace.visible = shown.has(index); });
    const { data: traces, layout: painted } = isDark() ? inDark({ data: source.data, layout }) : { data: source.data, layout };
    return Plotly.react(div, traces, painted, config);
  };
  for (const [id, choices] of Object.entries(data.views)) {
    const select = document.querySelector(`select[data-for="${id}"]`);
    views.set(id, new Set(choices[0][1]));
    choices.forEach(([name], index) => select.add(new Option(name, String(index))));
    select.addEventListener("change", () => {
      views.set(id, new Set(choices[Number(select.value)][1]));
      draw(id);
    });
  }
  const ids = Object.keys(data.figures);
  const drawAll = async () => {
    for (const id of ids) {
      await draw(id);
      await new Promise((resolve) => setTimeout(resolve));  // lets the page answer between figures
    }
  };
  await drawAll();
  root.dataset.ready = "yes";

  const repaint = async () => {
    root.dataset.ready = "no";
    paintTheme();
    await drawAll();
    root.dataset.ready = "yes";
  };
  toggle.addEventListener("click", () => { chosenTheme = isDark() ? "light" : "dark"; repaint(); });
  prefersDark.addEventListener("change", () => { if (chosenTheme === null) repaint(); });
  let width = root.clientWidth;
  let timer;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (root.clientWidth === width) return;
      width = root.clientWidth;
      repaint();
    }, 150);
  });

  function trialTable(id, { columns, rows, cells }) {
    const box = document.querySelector(`.trials-box[data-for="${id}"]`);
    const [search, outcomes, status] = ["input", "select", ".count"].map((name) => box.querySelector(name));
    const [before, after, all, csv] = ["before", "after", "all", "csv"].map((name) => box.querySelector(`[data-do="${name}"]`));
    const pageRows = 25;
    let sortColumn = null, descending = false, cell = null, firstRow = 0, shown = rows.map((_, index) => index);
    const outcomeColumn = columns.findIndex((column) => column.name === "outcome");
    for (const name of [...new Set(rows.map((row) => row[outcomeColumn]))].sort()) outcomes.add(new Option(name, name));
    const texts = rows.map((row) => row.filter((value) => value !== null).join("\u0001").toLowerCase());

    const compare = (a, b) => {
      const [x, y] = [rows[a][sortColumn], rows[b][sortColumn]];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;  // unknown last, either way
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
      return (descending ? -order : order) || a - b;
    };
    const display = (value) => {
      if (value === null) return "–";
      if (typeof value === "boolean") return value ? "yes" : "no";
      if (typeof value !== "number" || Number.isInteger(value)) return String(value);
      return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
    };
    const select = () => {
      const wanted = search.value.trim().toLowerCase();
      shown = rows.map((_, index) => index).filter((index) =>
        (!wanted || texts[index].includes(wanted)) &&
        (!outcomes.value || rows[index][outcomeColumn] === outcomes.value) &&
        (cell === null || cells[index] === cell));
      if (sortColumn !== null) shown.sort(compare);
      firstRow = 0;
      paint();
    };
    const paint = () => {
      const body = document.createElement("tbody");
      for (const index of shown.slice(firstRow, firstRow + pageRows)) {
        const line = body.insertRow();
        columns.forEach((column, place) => {
          const slot = line.insertCell();
          const value = rows[index][place];
          slot.textContent = display(value);
          if (column.number) slot.className = "number";
          if (column.name === "outcome") slot.className = `outcome ${value}`;
          if (column.name === "error") { slot.className = "error"; slot.title = value ?? ""; }
        });
      }
      box.querySelector("tbody").replaceWith(body);
      const last = Math.min(firstRow + pageRows, shown.length);
      status.textContent = `${shown.length ? firstRow + 1 : 0}–${last} of ${shown.length}` +
        (shown.length < rows.length ? ` (${rows.length} in all)` : "") + (cell === null ? "" : ` · ${cell}`);
      before.disabled = firstRow === 0;
      after.disabled = last >= shown.length;
      all.hidden = cell === null && !search.value && !outcomes.value;
    };
    const heads = [...box.querySelectorAll("th")];
    heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
      descending = sortColumn === place && !descending;
      sortColumn = place;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      select();
    }));
    search.addEventListener("input", select);
    outcomes.addEventListener("change", select);
    before.addEventListener("click", () => { firstRow -= pageRows; paint(); });
    after.addEventListener("click", () => { firstRow += pageRows; paint(); });
    all.addEventListener("click", () => { cell = null; search.value = outcomes.value = ""; select(); });
    csv.addEventListener("click", () => {
      // Text that begins like a formula is marked as text, so that a spreadsheet does not run it.
      const quote = (value) => value === null ? "" : typeof value === "string"
        ? `"${(/^[=+\-@\t\r]/.test(value) ? "'" : "") + value.replaceAll('"', '""')}"` : String(value);
      const lines = [columns.map((column) => quote(column.name)), ...shown.map((index) => rows[index].map(quote))];
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.map((line) => line.join(",")).join("\r\n") + "\r\n"], { type: "text/csv" }));
      link.download = `${id}-trials.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    select();
    return {
      showCell(name) { cell = name; search.value = outcomes.value = ""; select(); box.scrollIntoView({ block: "start" }); },
    };
  }
})().catch((error) => {
  document.documentElement.dataset.ready = "failed";
  document.querySelector(".trouble").hidden = false;
  console.error(error);
});
