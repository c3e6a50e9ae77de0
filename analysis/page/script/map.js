// The collapse map, and whatever else in the page stands for trials: elements with `data-term`.

function collapseMap(study, actions) {
  for (const map of study.article.querySelectorAll(".map")) {
    const box = map.querySelector(".scroll");
    const items = () => [...map.querySelectorAll("[data-term]")].filter((one) => one.offsetParent !== null);
    if (items().length) roving(box, items);
  }
  const marked = [...study.article.querySelectorAll("[data-term]")];
  study.article.addEventListener("click", (event) => {
    const source = event.target.closest("[data-term]");
    if (!source) return;
    study.select(source.dataset.term, { add: study.adding || event.shiftKey || event.ctrlKey || event.metaKey });
  });
  study.onChange(() => {
    const active = new Set(study.terms.flatMap((term) => (isRange(term) || term.words !== undefined || term.not ? []
      : term.values.map((value) => writeTerm({ ...term, values: [value] })))));
    for (const source of marked) {
      const dim = study.isFiltered && !study.touches(source.dataset.term);
      source.classList.toggle("dim", dim);
      const chosen = readTerms(source.dataset.term, study).every((term) => active.has(writeTerm(term)));
      source.setAttribute("aria-pressed", String(chosen));
    }
  });
}
