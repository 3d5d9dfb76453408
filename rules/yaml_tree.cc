// SPDX-License-Identifier: MIT
// Walking a YAML document: what a Node answers, and how it reports an error against itself.
//
// Bounds: an error keeps its line of source only when that is short, and its message is clipped, so
// that a hostile document cannot turn 1000 errors into 1000 copies of itself.
#include "rules/yaml_tree.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace spillway::yaml {
namespace {

constexpr std::size_t kMaxDiagnostics = 1000;
constexpr std::size_t kMaxMessage = 1500;
constexpr std::size_t kMaxSourceLine = 400;
constexpr std::size_t kMaxQuoted = 60;
constexpr std::size_t kMaxLegalShown = 40;
constexpr std::size_t kMinPart = 4;

// The first `size` bytes, not ending inside a UTF-8 character.
std::string_view Clip(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

char Lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

// How many letters must be changed, added, left out or swapped with their neighbour to make b of a
// (optimal string alignment); upper and lower case are the same.
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      bool same = Lower(a[i - 1]) == Lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0u : 1u)});
      bool swapped = i > 1 && j > 1 && Lower(a[i - 1]) == Lower(b[j - 2]) &&
                     Lower(a[i - 2]) == Lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

// The legal word that `found` was most likely meant to be; empty when none is near.
std::string_view Nearest(std::string_view found, const std::vector<std::string>& legal) {
  std::string_view best;
  if (found.size() > kMaxQuoted) return best;
  std::size_t best_distance = std::max<std::size_t>(1, found.size() / 3) + 1;
  for (const std::string& word : legal) {
    if (word.size() > found.size() + best_distance) continue;
    std::size_t distance = Distance(found, word);
    if (distance >= best_distance || distance >= word.size()) continue;
    best_distance = distance;
    best = word;
  }
  if (!best.empty() || found.size() < kMinPart) return best;
  // "warn" for "warning", "SIGUSR1" for "USR1".
  for (const std::string& word : legal) {
    bool part =
        word.size() >= kMinPart && (found.find(word) != std::string_view::npos ||
                                    std::string_view(word).find(found) != std::string_view::npos);
    if (part) return word;
  }
  return {};
}

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

void Document::Impl::Report(Place place, std::string path, std::string message) {
  if (diagnostics->size() >= kMaxDiagnostics) return;
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
  diagnostics->push_back(std::move(diagnostic));
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

const std::string& Node::path() const {
  static const std::string kNone;
  if (data_ == nullptr || data_->parent == nullptr) return kNone;
  if (data_->path.empty()) {
    data_->path = data_->document->NodeOf(data_->parent).path();
    if (data_->key == nullptr) {
      data_->path += "[" + std::to_string(data_->index) + "]";
    } else {
      if (!data_->path.empty()) data_->path += ".";
      data_->path += Clip(data_->key->text, kMaxQuoted);
    }
  }
  return data_->path;
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

std::string Quote(std::string_view found) {
  std::string_view clipped = Clip(found, kMaxQuoted);
  return "'" + std::string(clipped) + (clipped.size() < found.size() ? "..." : "") + "'";
}

std::string ExpectedOneOf(std::string_view found, const std::vector<std::string>& legal) {
  if (legal.empty()) return {};
  std::string text = legal.size() == 1 ? "; expected " : "; expected one of ";
  for (std::size_t i = 0; i < legal.size(); ++i) {
    if (i > 0) text += ", ";
    if (i == kMaxLegalShown) {
      text += "...";
      break;
    }
    text += Clip(legal[i], kMaxQuoted);
  }
  std::string_view nearest = Nearest(found, legal);
  if (!nearest.empty()) text += " (did you mean '" + std::string(nearest) + "'?)";
  return text;
}

}  // namespace spillway::yaml
