// What is selected, sorted and open, in the address after #, and back from it: `#s0-how?s0=predictor%3Dnone`.

class Address {
  constructor(page) {
    this.page = page;
    this.anchor = "";
  }

  /** Everything that the address holds, as text. */
  get text() {
    const parts = new URLSearchParams();
    for (const study of this.page.studies.values()) {
      if (study.isFiltered) parts.set(study.id, study.text);
      if (study.table.state) parts.set(`${study.id}.sort`, study.table.state);
    }
    const { trial, comparison } = this.page;
    if (trial.isOpen && trial.row !== undefined) parts.set(`${trial.study.id}.open`, trial.study.trialId(trial.row));
    if (comparison.isOpen && comparison.shown) parts.set(`${comparison.study.id}.compare`, comparison.text);
    const text = parts.toString();
    return `#${this.anchor}${text ? `?${text}` : ""}`;
  }

  write() {
    if (this.restoring) return;
    const text = this.text;
    if (text !== location.hash) history.replaceState(null, "", text === "#" ? location.href.replace(/#.*$/s, "") : text);
  }

  restore(hash = location.hash, { scroll = true } = {}) {
    const [anchor, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
    const parts = new URLSearchParams(query);
    this.anchor = anchor;
    this.restoring = true;
    try {
      for (const study of this.page.studies.values()) {
        const text = parts.get(study.id) ?? "";
        if (text !== study.text) study.restore(text);
        if (parts.has(`${study.id}.sort`)) study.table.state = parts.get(`${study.id}.sort`);
        const row = parts.has(`${study.id}.open`) ? study.rowOf(parts.get(`${study.id}.open`)) : -1;
        if (row >= 0) this.page.trial.open(study, row);
        if (parts.has(`${study.id}.compare`)) this.page.comparison.openText(study, parts.get(`${study.id}.compare`));
      }
    } finally { this.restoring = false; }
    if (anchor && scroll) document.getElementById(anchor)?.scrollIntoView({ behavior: "instant" });
    this.write();
  }

  goTo(anchor) {
    this.anchor = anchor;
    const part = document.getElementById(anchor);
    part?.scrollIntoView({ behavior: calm.matches ? "instant" : "smooth" });
    if (part && !part.hasAttribute("tabindex")) part.tabIndex = -1;
    part?.focus({ preventScroll: true });  // the Tab key goes on from there
    this.write();
  }
}
