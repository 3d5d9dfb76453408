// Finds a number n of eleven digits such that SHA-256(prefix + n) begins with `bits` zero bits.
// The prefix has 44 bytes: with the number and the padding it fills one block, whose first eleven words never
// change. Runs in a worker, or in slices on the page where there is none.
function Solver(prefix, bits) {
  'use strict';
  var K = new Int32Array(64), W = new Int32Array(64), low = new Int32Array(1000);
  var H = new Int32Array(8), hex = '6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19' +
    '428a2f9871374491b5c0fbcfe9b5dba53956c25b59f111f1923f82a4ab1c5ed5' +
    'd807aa9812835b01243185be550c7dc372be5d7480deb1fe9bdc06a7c19bf174' +
    'e49b69c1efbe47860fc19dc6240ca1cc2de92c6f4a7484aa5cb0a9dc76f988da' +
    '983e5152a831c66db00327c8bf597fc7c6e00bf3d5a7914706ca635114292967' +
    '27b70a852e1b21384d2c6dfc53380d13650a7354766a0abb81c2c92e92722c85' +
    'a2bfe8a1a81a664bc24b8b70c76c51a3d192e819d6990624f40e3585106aa070' +
    '19a4c1161e376c082748774c34b0bcb5391c0cb34ed8aa4a5b9cca4f682e6ff3' +
    '748f82ee78a5636f84c878148cc7020890befffaa4506cebbef9a3f7c67178f2';
  var high = 10000000, i, state = new Int32Array(8);
  for (i = 0; i < 72; i++) (i < 8 ? H : K)[i < 8 ? i : i - 8] = parseInt(hex.substr(8 * i, 8), 16);
  for (i = 0; i < 44; i++) W[i >> 2] |= prefix.charCodeAt(i) << (24 - 8 * (i & 3));
  for (i = 0; i < 1000; i++) {
    low[i] = (48 + (i / 100 | 0)) << 24 | (48 + (i / 10 | 0) % 10) << 16 | (48 + i % 10) << 8 | 0x80;
  }
  W[15] = 55 * 8;

  // Rounds `from` to `to` on `s`.
  function rounds(s, from, to) {
    var a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7], t, u;
    for (var r = from; r < to; r++) {
      t = h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (e & f ^ ~e & g) + K[r] + W[r] | 0;
      u = ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b ^ a & c ^ b & c) | 0;
      h = g; g = f; f = e; e = d + t | 0; d = c; c = b; b = a; a = t + u | 0;
    }
    s[0] = a; s[1] = b; s[2] = c; s[3] = d; s[4] = e; s[5] = f; s[6] = g; s[7] = h;
  }

  // Tries 1000 * `times` numbers; the one found, as text, or ''.
  return function (times) {
    var head = new Int32Array(8), x, y, r, n, text;
    for (; times > 0; times--, high++) {
      text = String(high);
      for (r = 0; r < 2; r++) {
        W[11 + r] = 0;
        for (n = 0; n < 4; n++) W[11 + r] |= text.charCodeAt(4 * r + n) << (24 - 8 * n);
      }
      head.set(H);
      rounds(head, 0, 13);
      for (n = 0; n < 1000; n++) {
        W[13] = low[n];
        for (r = 16; r < 64; r++) {
          x = W[r - 15];
          y = W[r - 2];
          W[r] = W[r - 16] + W[r - 7] + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3) +
            ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10);
        }
        state.set(head);
        rounds(state, 13, 64);
        if ((state[0] + H[0]) >>> (32 - bits) === 0) return text + String(1000 + n).slice(1);
      }
    }
    return '';
  };
}
if (typeof importScripts === 'function') {
  onmessage = function (event) {
    var step = Solver(event.data[0], event.data[1]), found = '';
    for (var done = 0; !found; done += 10000) {
      postMessage([done, '']);
      found = step(10);
    }
    postMessage([done, found]);
  };
}
