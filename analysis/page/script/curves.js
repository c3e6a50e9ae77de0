// The curves and spectra of single trials. analysis/page/curves.py describes their bytes and writes them.

const MISSING = 255;

/** Of each study when first asked for: {curve(row, quantity), spectrum(row, level), steps, quantities}. */
function curvesOf(study) {
  study.curves ??= unpackBytes(`${study.id}-curves`).then(readCurves);
  return study.curves;
}

function readCurves(buffer) {
  const headSize = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headSize)));
  const { quantities, trials, steps, spectrum } = head;
  let start = 4 + headSize;
  const ends = new Float32Array(buffer, start, quantities.length * trials * 2);
  start += ends.byteLength;
  const bytes = new Uint8Array(buffer, start, quantities.length * trials * steps.length);
  start += bytes.byteLength;
  const levels = ["representation", "projection"];
  const spectra = new Uint8Array(buffer, start, levels.length * trials * spectrum.values);
  return {
    steps,
    quantities,
    /** Steps and values of a trial, without the steps at which it was not measured. */
    curve(row, quantity) {
      const place = quantities.indexOf(quantity) * trials + row;
      const [low, high] = [ends[2 * place], ends[2 * place + 1]];
      const found = { x: [], y: [] };
      if (place < 0) return found;
      let byte = 0;
      steps.forEach((step, index) => {
        byte = (byte + bytes[place * steps.length + index]) & 255;
        if (byte !== MISSING) { found.x.push(step); found.y.push(low + (byte / 254) * (high - low)); }
      });
      return found;
    },
    /** Places and eigenvalues of a trial's last spectrum. */
    spectrum(row, level) {
      const index = levels.indexOf(level);
      const size = spectrum.sizes[index];
      const found = { x: [], y: [] };
      for (let place = 0; place < spectrum.values; place += 1) {
        const byte = spectra[(index * trials + row) * spectrum.values + place];
        if (byte === MISSING || size < 1) continue;
        const order = Math.floor(Math.exp((Math.log(size) * place) / (spectrum.values - 1)) + 0.5);
        if (found.x.at(-1) === order) continue;
        found.x.push(order);
        found.y.push(10 ** (spectrum.low + (byte / 254) * (spectrum.high - spectrum.low)));
      }
      return found;
    },
  };
}

const PLOTS = [
  { title: "std", quantities: ["representation_std", "projection_std"], axis: { rangemode: "tozero" } },
  { title: "effective rank", quantities: ["effective_rank", "projection_effective_rank"], axis: { rangemode: "tozero" } },
  { title: "kNN accuracy", quantities: ["knn_accuracy"], axis: { tickformat: ".1~%" } },
  { title: "loss", quantities: ["loss"], axis: {} },
  { title: "last spectrum", quantities: [], axis: { type: "log", exponentformat: "power" }, spectrum: true },
];
const DECADE_TICKS = 6;

/** Decades from tick to tick, so that some DECADE_TICKS of them fit beside the values. */
function decadesApart(values) {
  const logs = values.filter((value) => value > 0).map(Math.log10);
  return Math.max(1, Math.ceil((Math.max(...logs) - Math.min(...logs)) / DECADE_TICKS));
}

/**
 * Draws the curves of some trials.
 * @param lines  [{row, label, colour, faint}]; without a colour, a level has its own
 * @param name   of the file that they are saved as, after the study's
 */
async function drawCurves(div, study, lines, figures, name) {
  const curves = await curvesOf(study);
  if (!div.isConnected) return;
  const { colours } = figures.data;
  const partsOf = (plot) => (plot.spectrum ? ["representation", "projection"] : plot.quantities);
  const valuesOf = (plot, line, part) => (plot.spectrum ? curves.spectrum(line.row, part) : curves.curve(line.row, part));
  // Without a value an axis has no range, and Plotly neither draws it nor puts its title in place.
  const plots = PLOTS.filter((plot) => lines.some((line) => partsOf(plot).some((part) => valuesOf(plot, line, part).x.length)));
  const columns = div.clientWidth < NARROW_BELOW ? 1 : div.clientWidth < 900 ? 2 : 3;
  const rows = Math.ceil(plots.length / columns);
  const rowHeight = 150, gap = 62;
  const height = rows * (rowHeight + gap) + 36;
  const axisStyle = { gridcolor: colours.grid, linecolor: colours.axis, tickcolor: colours.axis, tickfont: { color: colours.muted, size: 11 }, zeroline: false, showline: true, nticks: 5, automargin: false };
  const layout = {
    template: "none", height, width: div.clientWidth, margin: { l: 46, r: 10, t: 50, b: 30 }, paper_bgcolor: colours.paper, plot_bgcolor: colours.paper,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colours.ink }, annotations: [], shapes: [], dragmode: false,
    hoverlabel: { bgcolor: colours.paper, bordercolor: colours.axis, font: { color: colours.ink } },
    legend: { orientation: "h", x: 0, y: 1 + 20 / (height - 80), yanchor: "bottom", font: { size: 12, color: colours.ink } }, showlegend: !lines.some((line) => line.colour),
  };
  const traces = [];
  plots.forEach((plot, index) => {
    const suffix = index ? String(index + 1) : "";
    const [row, column] = [Math.floor(index / columns), index % columns];
    const width = (1 - 0.07 * (columns - 1)) / columns;
    const inner = rows * rowHeight + (rows - 1) * gap;
    const top = 1 - (row * (rowHeight + gap)) / inner;
    const left = column * (width + 0.07);
    layout[`xaxis${suffix}`] = { ...axisStyle, domain: [left, left + width], anchor: `y${suffix}`, ...(plot.spectrum ? { type: "log", dtick: 1 } : {}) };
    layout[`yaxis${suffix}`] = { ...axisStyle, domain: [Math.max(0, top - rowHeight / inner), top], anchor: `x${suffix}`, ...plot.axis };
    layout.annotations.push({ text: plot.title, xref: `x${suffix} domain`, yref: `y${suffix} domain`, x: 0, y: 1, yshift: 4, xanchor: "left", yanchor: "bottom", showarrow: false, font: { size: 12, color: colours.ink } });
    if (plot.title === "std") {
      layout.shapes.push({ type: "line", xref: `x${suffix} domain`, yref: `y${suffix}`, x0: 0, x1: 1, y0: study.about.thresholds[0], y1: study.about.thresholds[0], line: { color: colours.muted, width: 1, dash: "dot" } });
    }
    for (const line of lines) {
      for (const part of partsOf(plot)) {
        const values = valuesOf(plot, line, part);
        if (!values.x.length) continue;
        const projection = part.startsWith("projection");
        const single = plot.quantities.length === 1;
        const tint = line.colour ?? (single ? colours.accent : projection ? colours.projection : colours.representation);
        traces.push({
          type: "scatter", mode: values.x.length > 1 ? "lines" : "markers", ...values, xaxis: `x${suffix}`, yaxis: `y${suffix}`, opacity: line.faint ? 0.45 : 1,
          name: projection ? "projection" : "representation", legendgroup: projection ? "projection" : "representation",
          showlegend: index === 0 && !line.faint,
          line: { color: tint, width: line.faint ? 1 : 2, dash: projection ? "5px,2px" : "solid" },
          hovertemplate: `${plain(line.label)}${single ? "" : projection ? ", projection" : ", representation"}: %{y:.4g}<extra></extra>`,
        });
      }
    }
    if (plot.spectrum) {
      layout[`yaxis${suffix}`].dtick = decadesApart(traces.filter((trace) => trace.yaxis === `y${suffix}`).flatMap((trace) => trace.y));
    }
  });
  const painted = isDark() ? figures.inDark({ traces, layout }) : { traces, layout };
  const config = figures.config(`${study.id}-${name}`);
  config.modeBarButtonsToRemove.push("zoom2d", "pan2d", "resetScale2d");  // only saving is left
  await Plotly.react(div, painted.traces, painted.layout, config);
  settleModebar(div);
}

/** A text that Plotly shows as it is. */
const plain = (text) => shortened(text, 60).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("%{", "%&#123;");
