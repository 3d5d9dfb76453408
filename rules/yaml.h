// SPDX-License-Identifier: MIT
// YAML documents with places: the door of yaml-cpp. A Node knows its file, line, column and path,
// and reports errors against itself; nothing throws. Anchors and aliases work, bounded; tags are
// refused.
//
// Thread rule: used while loading, by one thread. A Node borrows from its Document.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spillway/diagnostics.h"

namespace spillway::yaml {

enum class NodeKind : std::uint8_t { kMissing, kNull, kScalar, kList, kMap };

class Document;

class Node {
 public:
  Node() = default;  // missing
  NodeKind kind() const;
  bool missing() const { return kind() == NodeKind::kMissing; }
  bool is_scalar() const { return kind() == NodeKind::kScalar; }
  bool is_list() const { return kind() == NodeKind::kList; }
  bool is_map() const { return kind() == NodeKind::kMap; }

  // The text of a scalar, as YAML unquotes it; empty for others.
  std::string_view text() const;
  bool quoted() const;
  // Items of a list, or the node itself as the only item of a scalar or map ("one or a list of
  // them").
  std::vector<Node> Items() const;
  // Entries of a map in file order; the key is a scalar node. Duplicate keys are reported once,
  // when the document is parsed; here the first one counts.
  std::vector<std::pair<Node, Node>> Entries() const;
  // The value of a key. When there is none the result is missing, but has a path and (its map's)
  // place, so that "is missing" can be reported against it.
  Node Get(std::string_view key) const;
  // Those of `keys` that a map does not have. One of more than 100 entries is not looked through: it
  // has all of them back, so that many unknown keys in it do not cost their square.
  std::vector<std::string> Unused(std::vector<std::string> keys) const;

  const std::string& path() const;  // "rules[2].match.method"
  const std::string& file() const;  // "shop.yaml"
  std::string place() const;        // "shop.yaml:14"
  // What is to be said about this node, as a value that nobody has heard yet.
  Diagnostic About(std::string message) const;
  // Adds an error about this node to the document's diagnostics; the thousandth is the last one
  // kept. A default-constructed node belongs to no document: nothing can be said about it.
  void Fail(std::string message) const;
  Diagnostics& diagnostics() const;

 private:
  friend class Document;
  struct Data;
  const Data* data_ = nullptr;
};

class Document {
 public:
  // Parses `text`. Errors go to *diagnostics; after one of syntax root() is missing, after a
  // duplicate key it is not. Bounds: 4 MiB of text, 64 levels deep, 1,000,000 nodes after aliases.
  // An alias shares the nodes of its anchor, with their place and path. REQUIRES: diagnostics
  // outlives the document.
  Document(std::string file, std::string_view text, Diagnostics* diagnostics);
  ~Document();
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  Node root() const;

  struct Impl;  // rules/yaml_tree.h

 private:
  std::unique_ptr<Impl> impl_;
};

using spillway::ExpectedOneOf;
using spillway::Quote;

}  // namespace spillway::yaml
