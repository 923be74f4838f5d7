// The page is whole without this. It enters with the code of the address, and
// keeps the page up to date.
'use strict';

(() => {
  const form = document.getElementById('enter');
  // The code does not stay in the address, whether it is needed or not.
  function take() {
    const code = location.hash.slice(1);
    if (!code) return;
    history.replaceState(null, '', location.pathname + location.search);
    if (!form) return;
    form.elements.code.value = code;
    form.submit();
  }
  take();
  addEventListener('hashchange', take);
  if (form) return;
  const every = 5000;
  const stale = (yes) => document.body.classList.toggle('stale', yes);

  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.pathname + location.search, { cache: 'no-store' });
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (fresh.getElementById('enter')) { location.reload(); return; }
      for (const part of ['header', 'main']) {
        const old = document.querySelector(part), now = fresh.querySelector(part);
        if (old && now) old.replaceWith(document.importNode(now, true));
        else if (now) document.body.prepend(document.importNode(now, true));
        else if (old) old.remove();
      }
      document.title = fresh.title;
      stale(!answer.ok);
    } catch {
      stale(true);
    }
  }
  setInterval(refresh, every);
  document.addEventListener('visibilitychange', refresh);
})();
