// SPDX-License-Identifier: MIT
// The tree that rules/yaml.cc builds and rules/yaml_tree.cc walks: private to the two of them.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "rules/yaml.h"

namespace spillway::yaml {

// A place in the text: 1-based line and column, in bytes.
struct Place {
  int line = 0;
  int column = 0;
  int length = 1;
};

struct Node::Data {
  Document::Impl* document = nullptr;
  const Data* parent = nullptr;
  const Data* key = nullptr;  // in a map: the key whose value this is; a key's is itself
  std::size_t index = 0;      // in a list
  NodeKind kind = NodeKind::kNull;
  bool quoted = false;
  bool complete = false;     // its end has been seen: an alias to it cannot be a circle
  int height = 0;            // levels of it: 0 for a scalar, 1 for a flat list
  std::uint64_t weight = 1;  // nodes in it, aliases counted as if they were copied
  Place place;
  std::string text;             // a scalar's text; the name of a missing one
  std::vector<Data*> children;  // a list's items; a map's keys and values in turn
  mutable std::string path;     // made when first asked for: most are never
};

struct Document::Impl {
  std::string file;
  std::string bytes;
  std::vector<std::size_t> lines;  // where each begins
  std::deque<Node::Data> nodes;    // a deque: addresses stay
  Node::Data* root = nullptr;
  Diagnostics* diagnostics = nullptr;

  Impl(std::string file_name, std::string_view source, Diagnostics* sink);
  Node::Data* Make(NodeKind kind, Place place);
  // From the place to the end of the text; a place outside gives an empty view.
  std::string_view From(Place place) const;
  std::string_view Line(int line) const;
  Diagnostic Describe(Place place, std::string path, std::string message) const;
  void Report(Place place, std::string path, std::string message);
  Node NodeOf(const Node::Data* data) const;

  // In rules/yaml.cc, the only ones that know yaml-cpp.
  class Builder;
  void Parse();
};

}  // namespace spillway::yaml
