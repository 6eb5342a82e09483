# cmake -DSOURCE=... -DOUT=... -P commit.cmake: the commit that is being built, and whether what is compiled differs from it, as a
# header. Run at every build, written only when it changed: a program must name what it was built from, not what its source
# folder holds when it runs.
set(commit "")
set(dirty -1)
if(EXISTS "${SOURCE}/.git")
  # What is compiled, and new files too: the build takes every source file that it finds in these folders.
  execute_process(COMMAND git status --porcelain=v2 --branch --no-ahead-behind --untracked-files=normal --
    CMakeLists.txt cmake kernels models optimizers harness
    WORKING_DIRECTORY "${SOURCE}" OUTPUT_VARIABLE status ERROR_QUIET RESULT_VARIABLE failed)
  # "(initial)" stands for no commit yet.
  if("${failed}" STREQUAL "0" AND status MATCHES "# branch.oid ([0-9a-f]+)\n")
    set(commit ${CMAKE_MATCH_1})
    set(dirty 0)
    if(status MATCHES "(^|\n)[^#\n]")
      set(dirty 1)
    endif()
  endif()
endif()
string(CONCAT text "/* Made by cmake/commit.cmake. Dirty: 1 or 0, -1 unknown. */\n"
  "#define FL_COMMIT \"${commit}\"\n#define FL_DIRTY ${dirty}\n")
set(was "")
if(EXISTS "${OUT}")
  file(READ "${OUT}" was)
endif()
if(NOT text STREQUAL was)
  file(WRITE "${OUT}" "${text}")
endif()
