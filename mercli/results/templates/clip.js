(() => {
  const medium = document.getElementById("medium");
  const words = [...document.querySelectorAll(".words [data-t]")];
  const rows = [...document.querySelectorAll("main table.sortable tbody tr")].map((row) => {
    const [from, to] = [0, 1].map((cell) => parseFloat(row.cells[cell].textContent));
    return { row, from, to };
  });
  let time = 0;
  let seconds = 0;

  const scoreAt = (windows, index, k, t) => {
    const [start, end, middle, scores] = windows[index];
    const next = windows[t < middle ? index - 1 : index + 1];
    const joined = next && next[3] && (t < middle ? next[1] === start : next[0] === end);
    if (!joined || next[2] === middle) return scores[k];
    return scores[k] + ((t - middle) / (next[2] - middle)) * (next[3][k] - scores[k]);
  };
  const place = (windows, t) => {
    const last = windows.length - 1;
    return windows.findIndex(([start, end], n) => t >= start && (t < end || (n === last && t <= end)));
  };

  const seek = (t) => {
    time = Math.min(Math.max(t, 0), seconds);
    if (medium && medium.readyState > 0) medium.currentTime = time;
    show();
  };

  const views = [...document.querySelectorAll(".timeline")].map((figure) => {
    const data = JSON.parse(figure.parentElement.querySelector(".windows").textContent);
    seconds = data.seconds;
    const plot = figure.querySelector(".plot");
    const head = document.createElement("div");
    head.className = "head";
    const dots = data.colours.map((colour) => {
      const dot = document.createElement("div");
      dot.className = "dot";
      dot.style.setProperty("--c", colour);
      return dot;
    });
    plot.append(head, ...dots);
    const told = { role: "slider", tabindex: "0", "aria-label": "Time in the clip", "aria-valuemin": "0" };
    for (const [name, value] of Object.entries(told)) plot.setAttribute(name, value);
    plot.setAttribute("aria-valuemax", String(seconds));
    figure.querySelector(".keys").hidden = false;

    const at = (event) => {
      const box = plot.getBoundingClientRect();
      seek(((event.clientX - box.left) / box.width) * seconds);
    };
    plot.addEventListener("pointerdown", (event) => {
      plot.setPointerCapture(event.pointerId);
      at(event);
    });
    plot.addEventListener("pointermove", (event) => {
      if (plot.hasPointerCapture(event.pointerId)) at(event);
    });
    plot.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : Math.min(1, seconds / 10);
      const to = {
        ArrowLeft: time - step, ArrowDown: time - step, ArrowRight: time + step, ArrowUp: time + step,
        PageDown: time - 10, PageUp: time + 10, Home: 0, End: seconds,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      seek(to);
    });
    const panel = document.querySelector(`.answer[data-model="${figure.dataset.model}"]`);
    return { data, plot, head, dots, panel };
  });

  const draw = ({ data, plot, head, dots, panel }) => {
    const left = `${(100 * time) / seconds}%`;
    head.style.left = left;
    const index = place(data.windows, time);
    const there = index >= 0 && data.windows[index][3];
    dots.forEach((dot, k) => {
      dot.hidden = !there;
      if (!there) return;
      dot.style.left = left;
      dot.style.top = `${100 * (1 - scoreAt(data.windows, index, k, time))}%`;
    });
    const nowhere = [0, 0, 0, null, "no answer", "", "no window here"];
    const [, , , scores, verdict, span, told] = index >= 0 ? data.windows[index] : nowhere;
    panel.querySelector("strong").textContent = verdict;
    panel.querySelector(".span").textContent = span;
    panel.querySelector(".told").textContent = told;
    [...panel.querySelectorAll("li")].forEach((line, k) => {
      line.style.setProperty("--p", scores ? scores[k] : 0);
      line.querySelector(".p").textContent = scores ? `${(100 * scores[k]).toFixed(1)} %` : "–";
    });
    plot.setAttribute("aria-valuenow", time.toFixed(2));
    const chance = scores ? ` ${Math.round(100 * Math.max(...scores))} %` : "";
    plot.setAttribute("aria-valuetext", `${time.toFixed(1)} seconds: ${verdict}${chance}`);
  };

  const show = () => {
    views.forEach(draw);
    const spoken = words.findLast((word) => Number(word.dataset.t) <= time);
    words.forEach((word) => word.classList.toggle("now", word === spoken));
    rows.forEach(({ row, from, to }) => row.classList.toggle("now", time >= from && time < to));
  };

  if (!views.length) return;
  for (const word of words) {
    word.classList.add("seekable");
    word.addEventListener("click", () => seek(Number(word.dataset.t)));
  }
  for (const { row, from } of rows) {
    row.classList.add("seekable");
    row.addEventListener("click", () => seek(from));
  }
  if (medium) {
    const follow = () => {
      time = Math.min(medium.currentTime, seconds);
      show();
      if (!medium.paused && !medium.ended) requestAnimationFrame(follow);
    };
    for (const event of ["play", "timeupdate", "seeked"]) medium.addEventListener(event, follow);
    const refuse = () => (document.getElementById("unplayable").hidden = false);
    medium.addEventListener("error", refuse);
    if (medium.error) refuse();
  }
  show();
})();
