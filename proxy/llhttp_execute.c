/* SPDX-License-Identifier: MIT
 * llhttp's state machine is compiled twice: for any x86-64, and for those with SSE 4.2 (all since
 * 2011), where it looks at sixteen bytes of a field at once. Which one runs is decided here, when
 * the program starts; to llhttp's own API there is one.
 */
#include "llhttp.h"

int llhttp_execute_plain(llhttp__internal_t* state, const char* begin, const char* end);
int llhttp_execute_sse42(llhttp__internal_t* state, const char* begin, const char* end);

static int (*execute)(llhttp__internal_t*, const char*, const char*) = llhttp_execute_plain;

__attribute__((constructor)) static void choose(void) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.2")) execute = llhttp_execute_sse42;
}

int llhttp__internal_execute(llhttp__internal_t* state, const char* begin, const char* end) {
  return execute(state, begin, end);
}
