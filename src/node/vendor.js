// SPDX-License-Identifier: MIT
'use strict';
// Copies the library's sources into the package for `npm pack`, and (--remove) takes them away
// again: in the tree, build.js uses the sources around.

const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
const vendored = path.join(__dirname, 'vendor');
const LEFT_OUT = ['cli', 'examples', 'node', 'tools'].map((name) => path.join(root, 'src', name));

const isWanted = (source) => !LEFT_OUT.includes(source) &&
  (fs.statSync(source).isDirectory() || /\.[ch]$/.test(source));

fs.rmSync(vendored, { recursive: true, force: true });
if (process.argv[2] !== '--remove') {
  for (const folder of ['include', 'src']) {
    fs.cpSync(path.join(root, folder), path.join(vendored, folder),
      { recursive: true, filter: isWanted });
  }
  for (const file of ['cmake/library.cmake', 'LICENSE']) {
    fs.mkdirSync(path.dirname(path.join(vendored, file)), { recursive: true });
    fs.copyFileSync(path.join(root, file), path.join(vendored, file));
  }
}
