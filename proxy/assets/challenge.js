// Solves the page's ticket and asks for the page again. Whatever fails is tried another way or later:
// this runs just when the site is overloaded.
(function () {
  'use strict';
  function by(id) { return document.getElementById(id); }
  var form = by('form'), ticket = form.ticket.value, bits = +by('work').dataset.bits;
  var prefix = ticket.slice(ticket.indexOf('.') + 1) + '.', expected = Math.pow(2, bits), settled = false;

  function say(text, stuck) {
    by('status').textContent = text;
    by('again').hidden = !stuck;
  }
  by('work').hidden = false;
  by('again').onclick = function () { location.reload(); };
  // The browser's back button may bring this page back as it was left.
  addEventListener('pageshow', function (event) { if (event.persisted) location.reload(); });

  // How often this tab came here within two minutes: a browser that forgets cookies would go on for ever.
  function visits() {
    try {
      var now = Date.now(), last = JSON.parse(sessionStorage.getItem('spillway') || '[0,0]');
      var count = now - last[1] < 120000 ? last[0] + 1 : 1;
      sessionStorage.setItem('spillway', JSON.stringify([count, now]));
      return count;
    } catch (e) { return 1; }
  }

  function progress(done) {
    by('bar').value = 100 * (1 - Math.exp(-1.5 * done / expected));
    by('count').textContent = done.toLocaleString() + ' numbers tried of about ' + expected.toLocaleString() + '.';
  }

  function send(nonce, attempt) {
    form.nonce.value = nonce;
    // Opened by its own address: there is nothing to come back to but what the ticket says.
    if (!window.fetch || location.pathname === form.getAttribute('action')) return form.submit();
    function later() {
      if (attempt > 6) return say('The site does not answer at the moment.', true);
      say('The site is busy. Your turn is kept. Trying again.');
      setTimeout(function () { send(nonce, attempt + 1); }, (1 + Math.random()) * 500 * Math.pow(2, attempt));
    }
    fetch(form.getAttribute('action'), {
      method: 'POST', redirect: 'manual',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: 'ticket=' + ticket + '&nonce=' + nonce
    }).then(function (answer) {
      if (answer.type !== 'opaqueredirect' && (answer.status >= 500 || answer.status === 429)) return later();
      // With the pass; or for a new ticket, when this one was too old.
      location.reload();
    }, later);
  }

  function finish(nonce) {
    if (settled) return;
    settled = true;
    by('bar').value = 100;
    say('Done. Opening the page.');
    send(nonce, 0);
  }

  function onPage() {
    var step = Solver(prefix, bits), done = 0;
    (function slice() {
      var found = step(5);
      progress(done += 5000);
      if (found) finish(found); else setTimeout(slice, 0);
    })();
  }

  function inWorker() {
    var worker = new Worker(URL.createObjectURL(new Blob([by('solver').textContent], { type: 'text/javascript' })));
    worker.onmessage = function (event) {
      progress(event.data[0]);
      if (event.data[1]) finish(event.data[1]);
    };
    worker.onerror = function () { worker.terminate(); if (!settled) onPage(); };
    worker.postMessage([prefix, bits]);
  }

  if (navigator.cookieEnabled === false || visits() > 4) {
    return say('This site needs a cookie here. Please allow cookies and try again.', true);
  }
  say('Working.');
  try { inWorker(); } catch (e) { onPage(); }
})();
