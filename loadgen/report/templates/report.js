// Draws the plots, in the colours of the page: light, dark or print.
"use strict";
(() => {
  const drawn = JSON.parse(document.getElementById("drawn").textContent);
  const coarse = matchMedia("(pointer: coarse)").matches;
  const config = { displayModeBar: false, responsive: true, scrollZoom: false };

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    return { ink: get("--ink"), paper: get("--paper"), line: get("--line") };
  }

  // What plotly is told of colours, as a flat table of its attributes.
  function themed(layout) {
    const { ink, paper, line } = colours();
    const told = {
      "font.color": ink,
      "paper_bgcolor": paper,
      "hoverlabel.bgcolor": paper,
      "hoverlabel.bordercolor": line,
      "hoverlabel.font.color": ink,
    };
    for (const axis of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
      told[`${axis}.separatethousands`] = true;
      told[`${axis}.exponentformat`] = "none";
      told[`${axis}.automargin`] = true;
      told[`${axis}.gridcolor`] = told[`${axis}.zerolinecolor`] = told[`${axis}.linecolor`] = line;
    }
    return told;
  }

  const plots = [...document.querySelectorAll("[data-plot]")];
  const narrow = (div) => div.clientWidth < 500;

  function layoutOf(div, given) {
    return {
      ...given,
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: narrow(div) ? 11 : 12 },
      margin: { l: narrow(div) ? 48 : 64, r: 12, t: 24, b: 48 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", ...given.legend },
      hoverlabel: { align: "left", namelength: -1 },
      dragmode: coarse ? false : "zoom", // a finger scrolls the page
    };
  }

  function paint(size = {}) {
    for (const div of plots) Plotly.relayout(div, { ...themed(div.layout), ...size });
  }

  for (const div of plots) {
    const { data, layout } = drawn[div.dataset.plot];
    Plotly.newPlot(div, data, layoutOf(div, layout), config);
  }
  paint();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint());
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.print = "";
    paint({ width: 660 }); // A4 and Letter between their margins
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.print;
    paint({ width: null, autosize: true });
  });
  document.documentElement.dataset.drawn = plots.length;
})();
