// SPDX-License-Identifier: MIT
// The reader of a pool's `hold`.
#pragma once

#include <string>
#include <vector>

#include "rules/key_table.h"
#include "spillway/hold.h"

namespace spillway {

void ReadHold(const Slot& slot, HoldConfig* out);
void ListHoldKeys(const std::string& name, std::vector<Kind>* kinds);

}  // namespace spillway
