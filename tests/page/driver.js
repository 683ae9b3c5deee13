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
