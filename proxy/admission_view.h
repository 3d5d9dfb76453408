// SPDX-License-Identifier: MIT
// How admission to the pools stands, as JSON for the admin side.
#pragma once

#include "proxy/generation.h"
#include "proxy/json.h"

namespace spillway {

// Null where everybody is admitted.
Json ViewAdmission(const Pool& pool, TimePoint now);
// Of each pool that admits: {"name": ..., and what ViewAdmission says}.
Json ViewAdmissions(const Generation& generation, TimePoint now);
// `concurrency` and `queue` as they are configured.
Json ViewConcurrency(const AdmissionConfig& config);
Json ViewQueue(const AdmissionConfig& config);

}  // namespace spillway
