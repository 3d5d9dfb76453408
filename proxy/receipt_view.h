// SPDX-License-Identifier: MIT
// A refusal explained from its receipt: what was asked, what was decided and by which rule, and what
// the other rules made of it. What the receipt does not have is said to be missing, never guessed.
// Thread rule: the control thread.
#pragma once

#include "proxy/admin_controls.h"
#include "proxy/json.h"
#include "proxy/receipts.h"

namespace spillway {

Json ViewReceipt(const AdminControls& server, const Receipt& receipt);

// The same for a person to read.
std::string FormatReceipt(const Json& view);

}  // namespace spillway
