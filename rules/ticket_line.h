// SPDX-License-Identifier: MIT
// Tickets in the order in which they were added, linked through themselves by `previous` and `next`.
// Owns none; a ticket is in one such line at most. Thread rule: none of its own.
#pragma once

#include <cstdint>

#include "spillway/admission.h"

namespace spillway {

class TicketLine {
 public:
  void Add(AdmissionTicket* ticket) {  // as the last
    ticket->next = nullptr;
    ticket->previous = last_;
    (last_ != nullptr ? last_->next : first_) = ticket;
    last_ = ticket;
    ++size_;
  }
  // REQUIRES: it is in this line.
  void Remove(AdmissionTicket* ticket) {
    (ticket->previous != nullptr ? ticket->previous->next : first_) = ticket->next;
    (ticket->next != nullptr ? ticket->next->previous : last_) = ticket->previous;
    ticket->previous = ticket->next = nullptr;
    --size_;
  }
  AdmissionTicket* first() const { return first_; }
  std::uint32_t size() const { return size_; }

 private:
  AdmissionTicket* first_ = nullptr;
  AdmissionTicket* last_ = nullptr;
  std::uint32_t size_ = 0;
};

}  // namespace spillway
