// What tests/page/page_test.py asks of the page, in the page: each check leaves a
// line, and the whole is the text of #test-result, which --dump-dom shows.
'use strict';
(() => {
  const lines = [];
  const check = (what, good) => lines.push(`${good ? 'ok' : 'not ok'} ${what}`);
  const press = key => dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  const visible = () => [...document.querySelectorAll('#rows .row')];
  const bands = () => state.rows.filter(row => row.phase).map(row => row.phase);
  const selected = () => state.rows[state.at];
  const click = node => node.dispatchEvent(new MouseEvent('click', { bubbles: true }));
  const wanted = JSON.parse(document.currentScript.dataset.wanted);

  // Two seconds on an idle machine; a busy one may take a few more.
  const opened = performance.now();
  check(`${data.events.length} events open in ${Math.round(opened)} ms`, opened < 8000);
  if (wanted.selected) {
    check('the address chose its event', selected()?.seqs.includes(wanted.selected));
    check('the chosen row is drawn', document.querySelector('.row.on') !== null);
  }
  if (wanted.rule) {
    const text = $('side').textContent;
    check('the side shows the rule', text.includes(wanted.rule) && text.includes('calls in progress') &&
      text.includes('events that led there'));
    check('the row carries its mark', document.querySelector('.row.on .mark')?.textContent.includes(wanted.rule));
    check('the page names what is broken', $('broken').textContent.includes(wanted.rule));
    press('Escape'); press('r');
    check('r leads to a broken rule', Boolean(selected()?.mark));
  }

  // What is read against what it stands on: WCAG 2.2, 1.4.3 wants 4.5 to 1.
  const rgb = text => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [[r, .2126], [g, .7152], [b, .0722]].reduce((sum, [c, share]) =>
    sum + share * (c / 255 <= .04045 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4), 0);
  const behind = node => {
    const [r, g, b, alpha = 1] = rgb(getComputedStyle(node).backgroundColor);
    return alpha ? [r, g, b] : behind(node.parentElement);
  };
  const contrast = node => {
    const [low, high] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => a - b);
    return (high + .05) / (low + .05);
  };
  const legible = when => {
    const faint = ['h1', '.label', '.num', '.band', '.mark', '#lanes span', '#side h2', '#side .soft', 'dt', 'dd',
      '#broken a', '.levels button', '#search'].flatMap(what => [...document.querySelectorAll(what)])
      .filter(node => node.textContent && contrast(node) < 4.5)
      .map(node => `${node.className || node.tagName} ${contrast(node).toFixed(1)}`);
    check(`${wanted.scheme}: what is read stands out ${when} ${[...new Set(faint)]}`, faint.length === 0);
  };
  if (wanted.scheme) {
    check(`the browser asks for ${wanted.scheme}`, matchMedia(`(prefers-color-scheme: ${wanted.scheme})`).matches);
    const ground = light(behind(document.body));
    check(`${wanted.scheme}: the ground is so (${ground.toFixed(2)})`, wanted.scheme === 'dark' ? ground < .05 : ground > .9);
    legible('at first');
    press('j'); press('j');
    legible('where a row is chosen');
    press('Escape');
  }

  press('1');
  const life = state.rows.length;
  check('life has its phases', wanted.phases.every(phase => bands().some(b => b.startsWith(phase))));
  press('2');
  const calls = state.rows.length;
  press('3');
  const all = state.rows.length;
  check(`each level shows more (${life}, ${calls}, ${all})`, life < calls && calls < all);
  check('every event is drawn at the last level', state.rows.reduce((n, row) => n + (row.seqs?.length ?? 0), 0) ===
    data.events.length);
  check('only rows in sight are in the document', visible().length < 200);

  // Scrolling costs what comes into sight, however many rows there are.
  const box = $('scroll');
  const turn = by => { box.scrollTop += by; draw(false); };
  const create = document.createElement;
  let made = 0, most = 0, empty = 0, drawn = 0;
  document.createElement = function (...what) { ++made; return create.apply(this, what); };
  const end = state.rows.length * height();
  for (const by of [3 * height(), -3 * height()])
    for (let n = 0; n < 200; ++n) {
      if (n % 20 === 19) { box.scrollTop = by > 0 ? end / 200 * n : end - end / 200 * n; draw(false); }
      made = 0;
      turn(by);
      most = Math.max(most, made);
      drawn = Math.max(drawn, visible().length);
      const edges = visible().map(node => node.offsetTop);
      if (edges[0] > box.scrollTop || edges.at(-1) + height() < Math.min(end, box.scrollTop + box.clientHeight)) ++empty;
    }
  document.createElement = create;
  check(`a turn of the wheel makes few elements (${most})`, most > 0 && most < 60);
  check(`and leaves few rows (${drawn})`, drawn < 200);
  check('no part of what is in sight is empty', empty === 0);
  check('rows stand in order', visible().every((node, i, rows) => !i || +rows[i - 1].dataset.i + 1 === +node.dataset.i));
  box.scrollTop = 0; draw(false);
  click(document.querySelector('[data-level=life]'));
  check('a click switches the level', state.level === 'life' && state.rows.length === life);

  const band = visible().find(node => node.classList.contains('band') && node.getAttribute('aria-expanded'));
  const title = band.textContent;
  click(band);
  check('a click folds a phase', state.rows.length < life && state.folded.size === 1);
  click(visible().find(node => node.textContent.startsWith(title)));
  check('and unfolds it', state.rows.length === life);
  press('f');
  check('f folds all', state.rows.every(row => row.phase || !row.key));
  press('f');

  press('/');
  check('/ goes to the search', document.activeElement === $('search'));
  $('search').value = wanted.search;
  $('search').dispatchEvent(new Event('input', { bubbles: true }));
  check('the search finds', state.hits.length > 0 && selected().label.includes(wanted.search));
  check('and paints', document.querySelector('.row.hit b')?.textContent === wanted.search);
  check('the side says what it was', $('side').textContent.includes('event ' + selected().n));
  $('search').value = 'no such thing';
  $('search').dispatchEvent(new Event('input', { bubbles: true }));
  check('what is not there is not found', state.hits.length === 0);
  $('search').value = '';
  $('search').dispatchEvent(new Event('input', { bubbles: true }));

  press('f'); // an event in a folded phase is unfolded by its link
  const event = data.levels.life.at(-1)[0];
  go(event);
  check('a link unfolds', selected()?.seqs?.includes(event));
  const deep = data.events.find(e => !data.levels.life.some(s => (s[6] || [s[0]]).includes(e.n)) &&
    !data.levels.calls.some(s => (s[6] || [s[0]]).includes(e.n)));
  if (deep) { go(deep.n); check('a link goes to the level that has its event', state.level === 'all' &&
    selected().seqs.includes(deep.n)); }
  dispatchEvent(new Event('beforeprint'));
  check('print has every row', visible().length === state.rows.length);
  dispatchEvent(new Event('afterprint'));
  check('no network', performance.getEntriesByType('resource').length === 0);

  const out = document.createElement('pre');
  out.id = 'test-result';
  out.textContent = lines.join('\n');
  document.body.append(out);
})();
