-- SPDX-License-Identifier: MIT
-- Neovim's end with requests in flight. It closes all handles of its loop, and waits at most two
-- seconds until the loop is through with them; a crash or a hang would show in its exit status, and
-- in what it says of handles that are left. Run by neovim.sh, which sets `how`.
local uvdio = require "uvdio"

local how = os.getenv("UVDIO_TEST_HOW")
local path = os.getenv("UVDIO_TEST_FILE")
local pages = 64

local ended = 0
if not uvdio.engine_backend() then
  io.stderr:write("SKIP: " .. select(2, uvdio.engine_backend()) .. "\n")
  vim.cmd("cquit 77")
end
local file = assert(uvdio.open(path, uvdio.OPEN_CREATE + uvdio.O_DIRECT_PREFERRED))

local function write_all()
  for i = 0, pages - 1 do
    assert(file:write(i * 4096, ("%064d"):format(i):rep(64), function(message)
      assert(not message, message)
      -- Neovim knows that this is a callback of the loop.
      assert(vim.in_fast_event())
      ended = ended + 1
    end))
  end
end

if how == "waits" then
  -- What the README recommends, where the last writes matter.
  vim.api.nvim_create_autocmd("VimLeavePre", {callback = function()
    local is_closed = false
    uvdio.engine_close(function() is_closed = true end)
    assert(vim.wait(10000, function() return is_closed end))
    assert(ended == pages)
    io.stderr:write("all is written\n")
  end})
elseif how == "coroutine" then
  coroutine.wrap(function()
    write_all()
    assert(file:sync_data())
    assert(vim.in_fast_event())
    assert(ended == pages)
    assert(file:read(4096 * 3 + 4090, 6) == "000003")
    io.stderr:write("all is written\n")
    vim.schedule(function() vim.cmd("qall!") end)
  end)()
end
if how ~= "coroutine" then
  write_all()
  vim.cmd("qall!")
end
