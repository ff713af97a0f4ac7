// Policy's answer beside a form, as it is filled in: the form is sent to its `data-answer`, and what comes back is put into
// `data-into`. Without script the Preview button shows the same.
(() => {
  "use strict";
  document.querySelectorAll("form[data-answer]").forEach((form) => {
    const into = document.getElementById(form.dataset.into);
    let timer = 0, turn = 0;
    async function ask() {
      const mine = ++turn;
      try {
        const answer = await fetch(form.dataset.answer, {
          method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "X-Requested-With": "asgard" },
        });
        const text = answer.ok ? await answer.text() : "";
        if (mine !== turn || !answer.ok) return; // an older answer, or too many questions: the last one stays
        into.innerHTML = text; // from our own server, escaped there; the policy runs no script in it
        window.asgard.enhance(into);
      } catch { /* the next key asks again */ }
    }
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(ask, 300);
    });
  });
})();
