// SPDX-License-Identifier: MIT
'use strict';
// Copies the library's sources into the package for `npm pack`, and (--remove) takes them away
// again: in the tree, build.js uses the sources around.

const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
const vendored = path.join(__dirname, 'vendor');
const LEFT_OUT = ['cli', 'examples', 'node', 'tools'].map((name) => path.join(root, 'src', name));

function copy(from, to) {
  if (fs.statSync(from).isDirectory()) {
    for (const name of LEFT_OUT.includes(from) ? [] : fs.readdirSync(from)) {
      copy(path.join(from, name), path.join(to, name));
    }
  } else if (/\.([ch]|hpp|cmake)$|^LICENSE$/.test(path.basename(from))) {
    fs.mkdirSync(path.dirname(to), { recursive: true });
    fs.copyFileSync(from, to);
  }
}

fs.rmSync(vendored, { recursive: true, force: true });
if (process.argv[2] !== '--remove') {
  for (const name of ['include', 'src', 'cmake/library.cmake', 'LICENSE']) {
    copy(path.join(root, name), path.join(vendored, name));
  }
}
