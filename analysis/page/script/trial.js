// A trial's own view: what it was, what became of it, its curves, and the commands to go on with it.

/** What a trial's levels set, beside the reference. */
function settingsOf(study, row) {
  const settings = {};
  for (const factor of study.about.factors) {
    const label = study.value(row, factor.column);
    if (label === null || label === "not set") continue;
    if (factor.sets === null) settings[factor.name] = label;  // a drawn number
    else Object.assign(settings, factor.sets[String(label)] ?? {});
  }
  return settings;
}

const shellQuoted = (text) => (/^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A study of this one trial, with the same id, as text for a shell. */
function rerunCommand(study, row) {
  const { about } = study;
  const id = study.trialId(row);
  const name = `trial-${id.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  const section = (key, value) => `${key}: ${JSON.stringify(value)}`;
  const lines = [
    `name: ${name}`,
    section("reference", about.settings),
    section("factors", [{ name: "trial", levels: [{ label: id, settings: settingsOf(study, row) }] }]),
    `seeds: [${study.value(row, "seed")}]`,
    ...(Object.keys(about.resources).length ? [section("resources", about.resources)] : []),
    ...(Object.keys(about.collapse).length ? [section("collapse", about.collapse)] : []),
  ];
  return `cat > ${name}.yaml <<'END'\n${lines.join("\n")}\nEND\n${about.program} run ${name}.yaml --out runs/${name}`;
}

function exportCommand(study, row) {
  const id = study.trialId(row);
  return study.about.directories.map((directory) =>
    `${study.about.program} export ${shellQuoted(directory)} ${shellQuoted(id)} --to ${shellQuoted(`${id}.safetensors`)}`).join("\n# or\n");
}

function factsTable(rows, header) {
  const body = rows.map(([name, ...values]) => make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, name)),
    ...values.map((value) => make("td", {}, make("bdi", {}, value)))));
  const head = header ? [make("thead", {}, make("tr", {}, ...header.map((name) => make("th", { scope: "col" }, name))))] : [];
  return make("div", { className: "scroll" }, make("table", { className: "facts" }, ...head, make("tbody", {}, ...body)));
}

function commandBox(title, text) {
  const copy = make("button", { type: "button" }, "Copy");
  copy.setAttribute("aria-label", `Copy: ${title}`);
  copy.addEventListener("click", async () => {
    copy.textContent = (await copyText(text)) ? "Copied" : "Select and copy";
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });
  return make("section", { className: "command" }, make("header", {}, make("h3", {}, title), copy), make("pre", { tabIndex: 0 }, text));
}

class TrialView {
  constructor(figures, actions) {
    this.figures = figures;
    this.actions = actions;
    this.dialog = make("dialog", { className: "view trial-view" });
    this.dialog.setAttribute("aria-labelledby", "trial-title");
    document.body.append(this.dialog);
    this.dialog.addEventListener("close", () => { this.row = undefined; this.dialog.replaceChildren(); actions.stateChanged(); });
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.target.closest("pre, input")) return;
      const move = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[event.key];
      if (move) { this.step(move); event.preventDefault(); }
    });
  }

  get isOpen() { return this.dialog.open; }

  /** The trials to step through: those of the table, in its order. */
  get order() { return this.study.table.shown; }

  step(move) {
    const place = this.order.indexOf(this.row);
    const next = this.order[place + move];
    if (next !== undefined) this.open(this.study, next);
  }

  open(study, row) {
    const focused = this.dialog.contains(document.activeElement) ? document.activeElement.dataset.do : null;
    Object.assign(this, { study, row });
    this.fill();
    if (!this.isOpen) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    (this.dialog.querySelector(`[data-do="${focused}"]:not(:disabled)`) ?? this.dialog.querySelector("h2")).focus();
    this.draw();
    this.actions.stateChanged();
  }

  fill() {
    const { study, row } = this;
    const place = this.order.indexOf(row);
    const button = (name, label, text, act) => {
      const made = make("button", { type: "button", title: label }, text);
      made.setAttribute("aria-label", label);
      made.dataset.do = name;
      made.addEventListener("click", act);
      return made;
    };
    const before = button("before", "Previous trial (←)", "‹", () => this.step(-1));
    const after = button("after", "Next trial (→)", "›", () => this.step(1));
    before.disabled = place <= 0;
    after.disabled = place < 0 || place >= this.order.length - 1;
    const picked = study.picked.has(row);
    const pick = button("pick", "Put this trial beside others", picked ? "In comparison" : "Compare", () => {
      if (!study.picked.delete(row)) study.picked.add(row);
      this.actions.picksChanged(study);
      this.open(study, row);
    });
    pick.setAttribute("aria-pressed", String(picked));
    const select = button("select", "Select this trial in all views", "Select", () => {
      this.dialog.close();
      study.select(`trial_id=${quoted(study.trialId(row))}`);
    });
    const where = make("span", { className: "where" }, place < 0 ? "" : `${place + 1} of ${this.order.length}`);
    const outcome = make("span", { className: `outcome ${study.value(row, "outcome")}` }, display(study.value(row, "outcome")));
    const close = button("close", "Close (Escape)", "×", () => this.dialog.close());
    const title = make("h2", { id: "trial-title", tabIndex: -1 }, make("bdi", {}, shortened(study.trialLabel(row), 300)));
    this.plot = make("div", { className: "curves", role: "figure" });
    this.plot.setAttribute("aria-label", this.spoken());
    this.dialog.replaceChildren(
      make("header", { className: "view-bar" }, before, where, after, pick, select, make("span", { className: "grow" }), close),
      title, make("p", { className: "ended" }, outcome, this.ending()),
      ...this.errorPart(), this.plot, make("p", { className: "note" }, this.reference === null ? "" : "Thin: the reference with the same seed."),
      ...(study.about.measured ? this.ofEmbeddings() : this.ofTrial()),
    );
  }

  ofTrial() {
    const { study, row } = this;
    return [
      make("div", { className: "halves" }, make("section", {}, make("h3", {}, "Beside the reference"), this.differences()), make("section", {}, make("h3", {}, "Measured"), this.measures())),
      commandBox("Run it again, by itself", rerunCommand(study, row)), commandBox("Export its encoder", exportCommand(study, row)),
    ];
  }

  /** Of embeddings from elsewhere there is nothing to run again, and no reference. */
  ofEmbeddings() {
    return [make("section", {}, make("h3", {}, "Measured"), this.measures())];
  }

  /** The reference's trial of the same seed; null without one, or where it is this one. */
  get reference() {
    const { study, row } = this;
    const seed = study.value(row, "seed");
    const found = study.cells.findIndex((cell, other) => cell !== null && cell === study.about.reference && study.value(other, "seed") === seed);
    return found < 0 || found === row ? null : found;
  }

  spoken() {
    const parts = ["representation_std", "projection_std", "effective_rank", "loss", "knn_accuracy"]
      .filter((name) => this.study.value(this.row, name) !== null).map((name) => `${name} ${display(this.study.value(this.row, name))}`);
    return `Curves of this trial; at the end: ${parts.join(", ")}`;
  }

  ending() {
    const { study } = this;
    const get = (name) => this.study.value(this.row, name);
    const parts = [];
    if (get("end_reason") !== null && !study.about.measured) parts.push(get("end_reason"));
    if (get("steps_run") !== null && study.about.measured) parts.push(`last measured at step ${get("steps_run")}`);
    else if (get("steps_run") !== null) parts.push(`${get("steps_run")} of ${display(get("steps_planned"))} steps`);
    if (get("onset_step") !== null) parts.push(`collapse from step ${get("onset_step")}`);
    if (get("projection_collapsed") === true) parts.push("projection collapsed");
    if (get("wall_seconds") !== null) parts.push(`${display(get("wall_seconds"))} s`);
    if (get("device") !== null) parts.push(get("device"));
    return parts.join(" · ");
  }

  errorPart() {
    const error = this.study.value(this.row, "error");
    return error === null ? [] : [make("section", { className: "error" }, make("h3", {}, "Error"), make("pre", { tabIndex: 0 }, error))];
  }

  differences() {
    const { study, row } = this;
    const rows = study.about.factors.map((factor) => {
      const own = study.value(row, factor.column);
      const differs = factor.first !== null && String(own) !== factor.first;
      return [factor.name, display(own), factor.first ?? "–", differs];
    });
    const table = factsTable(rows.map((one) => one.slice(0, 3)), ["", "this trial", "the reference"]);
    table.querySelectorAll("tbody tr").forEach((tr, index) => tr.classList.toggle("differs", rows[index][3]));
    const sets = Object.entries(settingsOf(study, row)).filter(([name]) => !study.place.has(name));
    const list = sets.map(([name, value]) => `${name}: ${value}`).join(", ");
    const parts = [table];
    if (!rows.length) parts.push(make("p", { className: "note" }, "The study varies nothing."));
    if (list) parts.push(make("p", { className: "note" }, `Its levels set ${list}.`));
    return make("div", {}, ...parts);
  }

  measures() {
    const { study, row } = this;
    const left = new Set(["error", "outcome", "end_reason", "device", ...study.about.factors.map((factor) => factor.column)]);
    const rows = study.columns.filter((column) => !left.has(column.name) && study.value(row, column.name) !== null)
      .map((column) => [column.name, display(study.value(row, column.name))]);
    return factsTable(rows);
  }

  draw() {
    if (!this.isOpen) return;
    const lines = [{ row: this.row, label: "this trial" }];
    const reference = this.reference;
    if (reference !== null) lines.unshift({ row: reference, label: "the reference", faint: true });
    this.figures.ready.then(() => drawCurves(this.plot, this.study, lines, this.figures, this.study.trialId(this.row))).catch(failed);
  }
}
