// Greets somebody. The world in `wit/world.wit` says what it takes and gives.

#include <ctype.h>

#include "oxide.h"

bool exports_plugin_run(plugin_inputs_t *inputs, plugin_outputs_t *outputs, oxide_failure *failure) {
  oxide_text name = oxide_text_trim(inputs->name);
  if (name.len == 0) return oxide_fail_input(failure, "`name` is empty: write who to greet");

  oxide_text greeting = oxide_format("Hello, %.*s!", OXIDE_ARGS(name));
  if (inputs->shout.is_some && inputs->shout.val) {
    // The letters of ASCII.
    for (size_t index = 0; index < greeting.len; index++) greeting.ptr[index] = (uint8_t)toupper(greeting.ptr[index]);
  }
  oxide_log(OXIDE_CI_LOG_LEVEL_INFO, greeting);
  outputs->greeting = greeting;
  return true;
}
