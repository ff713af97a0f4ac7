// What pages can do beyond being read: sort and filter tables, read values off charts, copy commands. Pages work without it.
(() => {
  "use strict";
  const collate = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  function key(cell) {
    if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
    const text = cell.textContent.trim();
    const number = Number(text.replace(/,/g, "").replace(/\/s$|%$/, "").trim());
    return text !== "" && !Number.isNaN(number) ? number : text;
  }

  function compare(a, b) {
    const numbers = (typeof a === "number") - (typeof b === "number");
    if (numbers) return -numbers; // numbers before words such as "never"
    return typeof a === "number" ? a - b : collate.compare(a, b);
  }

  // The rows of a long table that nobody sees at first are laid out once the page is drawn; without scripts they are there at once.
  function reveal(rows) {
    rows.forEach((row) => row.classList.remove("later"));
  }

  function revealSoon(root) {
    const rows = Array.from(root.querySelectorAll("tr.later"));
    const next = () => {
      reveal(rows.splice(0, 1000));
      if (rows.length) requestAnimationFrame(() => setTimeout(next));
    };
    if (rows.length) addEventListener("load", () => setTimeout(next), { once: true });
  }

  function sort(table, head, index) {
    const down = head.getAttribute("aria-sort") === "ascending" ||
      (!head.hasAttribute("aria-sort") && head.classList.contains("n"));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => [key(row.cells[index]), row]);
    rows.sort((a, b) => (down ? compare(b[0], a[0]) : compare(a[0], b[0])));
    body.append(...rows.map((pair) => pair[1]));
  }

  function sortable(table) {
    if (table.tBodies[0].rows.length < 2) return;
    Array.from(table.tHead.rows[0].cells).forEach((head, index) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.append(...head.childNodes);
      button.title = "Sort by " + button.textContent;
      head.append(button);
      button.addEventListener("click", () => sort(table, head, index));
    });
  }

  function filterable(box) {
    const rows = Array.from(box.querySelector("tbody").rows);
    const label = document.createElement("label"), input = document.createElement("input"), count = document.createElement("span");
    const name = box.getAttribute("aria-label");
    label.className = "filter";
    input.type = "search";
    input.setAttribute("aria-label", "Filter: " + name);
    input.placeholder = "Filter " + rows.length.toLocaleString("en") + " rows";
    count.className = "muted";
    count.setAttribute("role", "status");
    label.append(input, count);
    box.before(label);
    let texts = null;
    input.addEventListener("input", () => {
      texts ??= rows.map((row) => row.textContent.toLowerCase());
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !words.every((word) => texts[i].includes(word));
        shown += !row.hidden;
      });
      count.textContent = words.length ? shown.toLocaleString("en") + " of " + rows.length.toLocaleString("en") : "";
    });
  }

  function readable(figure) {
    const source = figure.querySelector("script");
    if (!source) return;
    const data = JSON.parse(source.textContent), plot = figure.querySelector(".plot");
    const cross = figure.querySelector(".cross"), tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    plot.append(tip);

    function show(index) {
      const at = data.at[index];
      cross.setAttribute("x1", at + "%");
      cross.setAttribute("x2", at + "%");
      cross.setAttribute("visibility", "visible");
      const head = document.createElement("b");
      head.textContent = data.x[index];
      tip.replaceChildren(head);
      for (const [name, values] of data.series) {
        const line = document.createElement("div");
        line.textContent = name + ": " + values[index];
        tip.append(line);
      }
      tip.hidden = false;
      const width = plot.clientWidth, x = (at / 100) * width;
      const left = x + 10 + tip.offsetWidth > width ? x - 10 - tip.offsetWidth : x + 10;
      tip.style.left = Math.max(left, -50) + "px";
    }

    function hide() {
      tip.hidden = true;
      cross.setAttribute("visibility", "hidden");
    }

    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect(), at = ((event.clientX - box.left) / box.width) * 100;
      let low = 0, high = data.at.length - 1;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (data.at[middle] < at) low = middle;
        else high = middle;
      }
      show(at - data.at[low] < data.at[high] - at ? low : high);
    });
    plot.addEventListener("pointerleave", hide);
  }

  function copyable(box) {
    if (!navigator.clipboard) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    box.append(button);
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(box.querySelector("code").textContent).then(() => {
        button.textContent = "Copied";
      });
    });
  }

  // <div data-live="/url" data-every="5">: what the server sends for that URL replaces the content; how tables are sorted and
  // filtered stays. It waits while the page is hidden, or somebody is in one of its fields. With data-events="/url" the server says
  // when there is something new (server-sent events); where it can't, the page asks as often as without.
  function live(box) {
    let every = 1000 * Number(box.dataset.every || 5), told = false, due = false, timer = 0;

    function kept() {
      return Array.from(box.querySelectorAll("table[data-sortable]"), (table) => {
        const heads = Array.from(table.tHead.rows[0].cells), at = heads.findIndex((h) => h.hasAttribute("aria-sort"));
        const filter = table.parentElement.previousElementSibling, input = filter && filter.querySelector("input[type=search]");
        return { at, how: at < 0 ? "" : heads[at].getAttribute("aria-sort"), words: input ? input.value : "" };
      });
    }

    function restore(states) {
      box.querySelectorAll("table[data-sortable]").forEach((table, i) => {
        const state = states[i], head = state && table.tHead.rows[0].cells[state.at];
        const filter = table.parentElement.previousElementSibling, input = filter && filter.querySelector("input[type=search]");
        if (head && head.getAttribute("aria-sort") !== state.how) {
          head.setAttribute("aria-sort", state.how === "descending" ? "ascending" : "descending");
          sort(table, head, state.at);
        }
        if (input && state && state.words) {
          input.value = state.words;
          input.dispatchEvent(new Event("input"));
        }
      });
    }

    async function refresh() {
      const busy = document.hidden || (box.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, summary"));
      if (busy || box.querySelector("details[open]")) return false;
      try {
        const answer = await fetch(box.dataset.live, { headers: { "X-Requested-With": "asgard" } });
        const text = answer.ok && !answer.redirected ? await answer.text() : null;
        if (text !== null && text !== box.last) {
          const states = kept(), focused = box.contains(document.activeElement) ? document.activeElement.textContent : null;
          box.innerHTML = text; // from our own server, escaped there; the policy runs no script in it
          reveal(box.querySelectorAll("tr.later"));
          box.last = text;
          enhance(box);
          restore(states);
          if (focused) Array.from(box.querySelectorAll("button, a")).find((e) => e.textContent === focused)?.focus();
        }
        box.classList.toggle("stale", text === null);
        return text !== null;
      } catch {
        box.classList.add("stale");
        return false;
      }
    }

    async function turn() {
      clearTimeout(timer);
      if (!told || due) {
        due = false;
        due = !(await refresh()) || due;
      }
      clearTimeout(timer);
      timer = setTimeout(turn, every);
    }

    function listen(url) {
      const source = new EventSource(url);
      const news = () => {
        due = true;
        turn();
      };
      source.onopen = () => {
        told = true;
        news(); // what happened before it was open
      };
      source.onmessage = news;
      source.addEventListener("end", () => {
        source.close();
        told = false;
        every = 30000;
        news();
      });
      source.onerror = () => { told = false; };
    }

    timer = setTimeout(turn, every);
    if (box.dataset.events && window.EventSource) listen(box.dataset.events);
  }

  function enhance(root) {
    root.querySelectorAll("table[data-sortable]").forEach(sortable);
    root.querySelectorAll("[data-filter]").forEach(filterable);
    root.querySelectorAll("[data-chart]").forEach(readable);
    root.querySelectorAll("[data-copy]").forEach(copyable);
  }

  enhance(document);
  revealSoon(document);
  document.querySelectorAll("[data-live]").forEach(live);
  window.asgard = { enhance };
})();
