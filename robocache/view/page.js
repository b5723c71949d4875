// Keys hide and show series, a slider or the pointer reads values. The plots are there without it.
document.documentElement.classList.add("scripted");
for (const figure of document.querySelectorAll("figure.plot")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector("svg"), cursor = svg.querySelector(".cursor");
  const slider = figure.querySelector("input"), output = figure.querySelector("output");
  const hidden = new Set();
  const read = () => {
    const at = Number(slider.value);
    cursor.setAttribute("x1", data.px[at]);
    cursor.setAttribute("x2", data.px[at]);
    const values = data.series.map((series, k) => hidden.has(k) ? "" : `${data.names[k]} ${series[at]}`.trim());
    output.textContent = `${data.label} ${data.x[at]}: ${values.filter(Boolean).join(", ")}`;
    slider.setAttribute("aria-valuetext", output.textContent);
  };
  slider.addEventListener("input", read);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    let best = 0;
    data.px.forEach((px, k) => { if (Math.abs(px - x) < Math.abs(data.px[best] - x)) best = k; });
    slider.value = best;
    read();
  });
  for (const key of figure.querySelectorAll("button")) {
    key.addEventListener("click", () => {
      const k = Number(key.dataset.key), show = hidden.delete(k);
      if (!show) hidden.add(k);
      key.setAttribute("aria-pressed", show);
      svg.querySelector(`[data-series="${k}"]`).classList.toggle("off", !show);
      if (output.textContent) read();
    });
  }
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
