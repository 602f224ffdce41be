// Secrets that a plugin spends without reading them, for worlds with `import oxide:ci/secrets@0.1.0;`. A header of its own,
// because the bindings of a world without that line have none of it.

#ifndef OXIDE_SECRETS_H
#define OXIDE_SECRETS_H

#include "oxide.h"

// Text that stands for the value of a secret, also within a longer text such as `Bearer PLACEHOLDER`. Put it into the
// environment or the standard input of a command, or into a request: the host puts the value in its place. The caller frees
// it.
static inline bool oxide_secret_placeholder(const char *name, oxide_text *placeholder, oxide_failure *failure) {
  oxide_text wanted = oxide_text_of(name);
  oxide_ci_secrets_own_secret_t secret;
  oxide_error error;
  if (!oxide_ci_secrets_open(&wanted, &secret, &error)) return oxide_fail_error(failure, &error);
  oxide_ci_secrets_method_secret_placeholder(oxide_ci_secrets_borrow_secret(secret), placeholder);
  oxide_ci_secrets_secret_drop_own(secret);
  return true;
}

#endif
