// SPDX-License-Identifier: MIT
// The readers of a pool's `concurrency` and `queue`.
#pragma once

#include <string>
#include <vector>

#include "rules/key_table.h"
#include "spillway/admission.h"

namespace spillway {

void ReadConcurrency(const Slot& slot, AdmissionConfig* out);
void ListConcurrencyKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadQueue(const Slot& slot, AdmissionConfig* out);
void ListQueueKeys(const std::string& name, std::vector<Kind>* kinds);

}  // namespace spillway
