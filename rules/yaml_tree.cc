// SPDX-License-Identifier: MIT
// Walking a YAML document: what a Node answers, and how it reports an error against itself.
//
// Bounds: an error keeps its line of source only when that is short, and its message is clipped, so
// that a hostile document cannot turn 1000 errors into 1000 copies of itself.
#include "rules/yaml_tree.h"

#include <algorithm>

#include "rules/clip.h"

namespace spillway::yaml {
namespace {

constexpr std::size_t kMaxDiagnostics = 1000;
constexpr std::size_t kMaxMessage = 1500;
constexpr std::size_t kMaxSourceLine = 400;
constexpr std::size_t kMaxPathPart = 60;
constexpr std::size_t kMaxLooked = 100;  // entries of a map

}  // namespace

Document::Impl::Impl(std::string file_name, std::string_view source, Diagnostics* sink)
    : file(std::move(file_name)), bytes(source), diagnostics(sink) {
  lines.push_back(0);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\n') lines.push_back(i + 1);
  }
}

Node::Data* Document::Impl::Make(NodeKind kind, Place place) {
  Node::Data& data = nodes.emplace_back();
  data.document = this;
  data.kind = kind;
  data.place = place;
  return &data;
}

std::string_view Document::Impl::Line(int line) const {
  if (line < 1 || static_cast<std::size_t>(line) > lines.size()) return {};
  std::size_t begin = lines[static_cast<std::size_t>(line) - 1];
  std::string_view rest = std::string_view(bytes).substr(begin);
  rest = rest.substr(0, rest.find('\n'));
  if (!rest.empty() && rest.back() == '\r') rest.remove_suffix(1);
  return rest;
}

std::string_view Document::Impl::From(Place place) const {
  if (place.line < 1 || static_cast<std::size_t>(place.line) > lines.size()) return {};
  std::size_t begin = lines[static_cast<std::size_t>(place.line) - 1] +
                      static_cast<std::size_t>(std::max(place.column, 1) - 1);
  return std::string_view(bytes).substr(std::min(begin, bytes.size()));
}

Diagnostic Document::Impl::Describe(Place place, std::string path, std::string message) const {
  if (message.size() > kMaxMessage) message = std::string(Clip(message, kMaxMessage)) + " ...";
  Diagnostic diagnostic{file,
                        place.line,
                        place.column,
                        std::max(place.length, 1),
                        std::move(path),
                        std::move(message),
                        {}};
  std::string_view line = Line(place.line);
  bool shown = static_cast<std::size_t>(std::max(place.column, 0)) <= kMaxSourceLine;
  if (shown) diagnostic.source = Clip(line, kMaxSourceLine);
  return diagnostic;
}

void Document::Impl::Report(Place place, std::string path, std::string message) {
  if (diagnostics->size() >= kMaxDiagnostics) return;
  diagnostics->push_back(Describe(place, std::move(path), std::move(message)));
}

Node Document::Impl::NodeOf(const Node::Data* data) const {
  Node node;
  node.data_ = data;
  return node;
}

NodeKind Node::kind() const {
  return data_ == nullptr ? NodeKind::kMissing : data_->kind;
}

std::string_view Node::text() const {
  return is_scalar() ? std::string_view(data_->text) : std::string_view();
}

bool Node::quoted() const {
  return data_ != nullptr && data_->quoted;
}

std::vector<Node> Node::Items() const {
  std::vector<Node> items;
  if (is_list()) {
    items.reserve(data_->children.size());
    for (const Data* child : data_->children) items.push_back(data_->document->NodeOf(child));
  } else if (is_scalar() || is_map()) {
    items.push_back(*this);
  }
  return items;
}

std::vector<std::pair<Node, Node>> Node::Entries() const {
  std::vector<std::pair<Node, Node>> entries;
  if (!is_map()) return entries;
  entries.reserve(data_->children.size() / 2);
  for (std::size_t i = 0; i + 1 < data_->children.size(); i += 2) {
    entries.emplace_back(data_->document->NodeOf(data_->children[i]),
                         data_->document->NodeOf(data_->children[i + 1]));
  }
  return entries;
}

Node Node::Get(std::string_view key) const {
  if (data_ == nullptr) return {};
  if (is_map()) {
    for (std::size_t i = 0; i + 1 < data_->children.size(); i += 2) {
      if (data_->children[i]->text == key) return data_->document->NodeOf(data_->children[i + 1]);
    }
  }
  // What is missing is missed where its map is named.
  Data* missing =
      data_->document->Make(NodeKind::kMissing, (data_->key ? data_->key : data_)->place);
  missing->parent = data_;
  missing->key = missing;
  missing->text = key;
  return data_->document->NodeOf(missing);
}

std::vector<std::string> Node::Unused(std::vector<std::string> keys) const {
  if (!is_map() || data_->children.size() > 2 * kMaxLooked) return keys;
  for (std::size_t i = 0; i + 1 < data_->children.size(); i += 2) {
    std::erase(keys, data_->children[i]->text);
  }
  return keys;
}

const std::string& Node::path() const {
  static const std::string kNone;
  if (data_ == nullptr || data_->parent == nullptr) return kNone;
  if (data_->path.empty()) {
    data_->path = data_->document->NodeOf(data_->parent).path();
    if (data_->key == nullptr) {
      data_->path += "[" + std::to_string(data_->index) + "]";
    } else {
      if (!data_->path.empty()) data_->path += ".";
      const std::string_view part = Clip(data_->key->text, kMaxPathPart);
      data_->path += part.empty() ? "''" : OneLine(part);
    }
  }
  return data_->path;
}

const std::string& Node::file() const {
  static const std::string kNone;
  return data_ == nullptr ? kNone : data_->document->file;
}

Diagnostic Node::About(std::string message) const {
  Diagnostic diagnostic;
  if (data_ != nullptr) {
    diagnostic = data_->document->Describe(data_->place, path(), std::move(message));
  } else {
    diagnostic.message = std::move(message);
  }
  return diagnostic;
}

std::string Node::place() const {
  if (data_ == nullptr) return {};
  return data_->document->file + ":" + std::to_string(data_->place.line);
}

void Node::Fail(std::string message) const {
  if (data_ == nullptr) return;
  data_->document->Report(data_->place, path(), std::move(message));
}

Diagnostics& Node::diagnostics() const {
  return *data_->document->diagnostics;
}

}  // namespace spillway::yaml
