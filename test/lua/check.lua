-- SPDX-License-Identifier: MIT
-- What the tests in Lua have in common: cases by name, each in a file of its own, counted as TAP.
local uv = require "luv"
local uvdio = require "uvdio"

local check = {count = 0, failed = 0}

check.path = os.getenv("UVDIO_TEST_FILE") or "lua_test.db"
-- Also where the test's folder has no direct I/O.
check.RW = uvdio.OPEN_CREATE + uvdio.O_DIRECT_PREFERRED

-- A backend that was asked for may be one that can't be had.
local backend = uvdio.engine_backend()
if not backend then
  print("SKIP: " .. select(2, uvdio.engine_backend()))
  os.exit(77)
end

function check.equal(got, expected, what)
  if got ~= expected then
    error((what or "value") .. ": got " .. tostring(got) .. ", expected " .. tostring(expected), 2)
  end
end

function check.raises(text, ...)
  local is_fine, message = pcall(...)
  check.equal(is_fine, false, "an error '" .. text .. "'")
  if not message:find(text, 1, true) then
    error("the message '" .. message .. "' has no '" .. text .. "'", 2)
  end
end

-- Lets the loop go on, by calls on the file, until the condition holds; at most 20 seconds.
function check.wait(file, condition)
  local deadline = uv.hrtime() + 20e9
  while not condition() do
    if uv.hrtime() > deadline then
      error("waited in vain", 2)
    end
    assert(file:size())
  end
end

-- Runs a case as a coroutine, and the loop until nothing is left to do.
function check.case(name, body)
  local is_through, message
  local thread = coroutine.create(function()
    is_through, message = xpcall(body, debug.traceback)
  end)
  coroutine.resume(thread)
  uv.run()
  check.count = check.count + 1
  if is_through then
    print("ok " .. check.count .. " - " .. name)
  else
    check.failed = check.failed + 1
    print("not ok " .. check.count .. " - " .. name)
    print("# " .. (message or "it did not come to its end"))
  end
  os.remove(check.path)
end

function check.finish()
  print("1.." .. check.count)
  os.exit(check.failed == 0 and 0 or 1, true)
end

return check
