// The bar beside the headline: what is selected as chips, what became of it, and what can be done with it.

function selectionBar(study, actions) {
  const bar = study.article.querySelector(".selection");
  const chips = make("ul", { className: "chips" });
  const summary = make("span", { className: "selected-count" });
  summary.setAttribute("role", "status");
  const several = make("button", { type: "button", className: "quiet", title: "Each further click adds to what is selected, as with Ctrl or Shift" }, "Add");
  several.setAttribute("aria-pressed", "false");
  const open = make("button", { type: "button" }, "Open");
  const compare = make("button", { type: "button" }, "Compare");
  const clear = make("button", { type: "button", title: "Escape" }, "Clear");
  bar.replaceChildren(summary, chips, make("span", { className: "acts" }, several, open, compare, clear));
  several.addEventListener("click", () => {
    study.adding = !study.adding;
    several.setAttribute("aria-pressed", String(study.adding));
  });
  open.addEventListener("click", () => actions.open(study, study.selectedRows[0]));
  compare.addEventListener("click", () => actions.compare(study, comparable(study)));
  clear.addEventListener("click", () => { study.clear(); study.article.querySelector("h1").focus({ preventScroll: true }); });

  study.onChange(() => {
    bar.hidden = !study.isFiltered;
    several.setAttribute("aria-pressed", String(study.adding));
    study.article.toggleAttribute("data-selecting", study.isFiltered);
    if (bar.hidden) { summary.textContent = ""; chips.replaceChildren(); return; }
    summary.textContent = summaryOf(study);
    chips.replaceChildren(...study.allTerms.map((term) => {
      const label = termLabel(term, study);
      const chip = make("button", { type: "button", className: "chip", "aria-label": `Remove ${label}` }, make("span", {}, label), make("b", { "aria-hidden": "true" }, "×"));
      if (term.unknown) chip.classList.add("wrong");
      chip.addEventListener("click", () => {
        study.remove(term);
        (chips.querySelector("button") ?? study.article.querySelector("h1")).focus({ preventScroll: true });
      });
      return make("li", {}, chip);
    }));
    open.hidden = study.count !== 1;
    compare.hidden = study.count < 2 || comparable(study) === null;
  });
}

/** How many are selected and what became of them, in words. */
function summaryOf(study) {
  const rows = study.selectedRows;
  const parts = [`${study.count.toLocaleString("en")} of ${study.rows.length.toLocaleString("en")} trials selected`];
  const outcomes = new Map();
  for (const row of rows) {
    const outcome = study.value(row, "outcome");
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  for (const [outcome, n] of [...outcomes].sort((a, b) => b[1] - a[1]).slice(0, 3)) parts.push(`${n.toLocaleString("en")} ${outcome}`);
  const { mean } = meanOf(study, rows, "knn_accuracy");
  if (mean !== null) parts.push(`mean kNN ${(100 * mean).toFixed(1)} %`);
  return parts.join(" · ");
}
