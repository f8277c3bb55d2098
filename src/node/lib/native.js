// SPDX-License-Identifier: MIT
'use strict';
// Loads the addon that build.js has made, or says how to make it.

const path = require('node:path');

const file = path.join(__dirname, '..', 'build', 'uvdio.node');

function load() {
  try {
    return require(file);
  } catch (cause) {
    const missing = cause.code === 'MODULE_NOT_FOUND';
    const what = missing
      ? 'was not built (npm may be set to run no install scripts)'
      : `does not load: ${cause.message}`;
    const error = new Error(
      `uvdio: the addon ${what}. Build it, which takes a C compiler, by: npm rebuild uvdio, or: ` +
        `node ${path.join(__dirname, '..', 'build.js')}`,
      { cause },
    );
    error.code = 'UVDIO_NOT_BUILT';
    throw error;
  }
}

module.exports = load();
