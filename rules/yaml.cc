// SPDX-License-Identifier: MIT
// The door of yaml-cpp: its events become our tree, its exceptions become diagnostics.
//
// We take events rather than its Node, which merges duplicate keys, forgets where keys stand, and
// expands nothing that could be counted. What yaml-cpp 0.7 lets through and we do not: duplicate
// keys, keys that are not scalars, tags, merge keys, a quote that is never closed, a second
// document, text that is not UTF-8 (it would be replaced, and columns would shift).
#include "rules/yaml.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <istream>
#include <optional>
#include <streambuf>
#include <unordered_map>
#include <unordered_set>

#include "rules/text_fault.h"
#include "rules/yaml_lesson.h"
#include "rules/yaml_tree.h"

namespace spillway::yaml {
namespace {

constexpr std::size_t kMaxText = 4 * 1024 * 1024;
constexpr int kMaxDepth = 64;
constexpr std::uint64_t kMaxNodes = 1'000'000;

// Whoever mends this one and is told the next should not think that it came of the mending.
constexpr const char* kNotYet =
    "\n  (nothing else in this file has been looked at yet: check it again once this is mended)";

// Ends the parse; never leaves this file.
struct Refused {
  Place place;
  std::string message;
};

// An istream over borrowed text.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string& text) {
    setg(text.data(), text.data(), text.data() + text.size());
  }
};

Place PlaceOf(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1, 1};
}

// Where a quoted scalar that begins `text` ends, closing quote included; 0 when it is never closed.
std::size_t QuotedSize(std::string_view text) {
  char quote = text[0];
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == quote) {
      bool doubled = quote == '\'' && i + 1 < text.size() && text[i + 1] == quote;
      if (!doubled) return i + 1;
      ++i;
    }
  }
  return 0;
}

}  // namespace

// Builds the tree from events. Its bounds are checked as it grows, not afterwards.
class Document::Impl::Builder : public YAML::EventHandler {
 public:
  explicit Builder(Impl* document) : document_(*document) {}

  Node::Data* root() const { return root_; }
  // Where the innermost list or map begins that has not ended; 0: there is none.
  int innermost_line() const { return open_.empty() ? 0 : open_.back().data->place.line; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{PlaceOf(mark), "a second document; one file holds one"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node::Data* data = Make(NodeKind::kNull, mark, "", anchor);
    // The mark of an empty value is that of whatever comes next; the key is where it is missed.
    if (!open_.empty() && pending_key_ != nullptr) data->place = pending_key_->place;
    Add(data);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node::Data* data = Make(NodeKind::kScalar, mark, tag == "!" ? "" : tag, anchor);
    data->text = value;
    Measure(data);
    Add(data);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end() || !found->second->complete) {
      throw Refused{PlaceOf(mark), Circle(mark, found == anchors_.end() ? nullptr : found->second)};
    }
    if (open_depth() + found->second->height > kMaxDepth) TooDeep(PlaceOf(mark));
    Count(PlaceOf(mark), found->second->weight);
    Add(found->second);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Make(NodeKind::kList, mark, tag, anchor));
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Make(NodeKind::kMap, mark, tag, anchor));
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map whose end has not been seen, and in a map the key that waits for its value.
  struct Level {
    Node::Data* data;
    Node::Data* key;
    std::unordered_set<std::string> keys;
  };

  int open_depth() const { return static_cast<int>(open_.size()); }

  [[noreturn]] static void TooDeep(Place place) {
    throw Refused{place, "more than " + std::to_string(kMaxDepth) + " levels deep"};
  }

  // What is wrong with an alias within `whole`, the value that it repeats.
  std::string Circle(const YAML::Mark& mark, const Node::Data* whole) const {
    std::string_view name = document_.From(PlaceOf(mark));
    name = name.substr(0, name.find_first_of(" \t\r\n,]}"));
    return "the alias " + Quote(name) + " stands within the very value that it repeats" +
           (whole == nullptr ? "" : ", which begins in line " + std::to_string(whole->place.line)) +
           "; that would have no end: write here what is meant";
  }

  void Count(Place place, std::uint64_t more) {
    count_ += more;
    if (count_ > kMaxNodes) {
      throw Refused{place,
                    "more than " + std::to_string(kMaxNodes) +
                        " values in one file, where each alias (*name) counts as all that it "
                        "repeats; a long list has a file of its own, one item a line: "
                        "lists: { NAME: { file: PATH } }"};
    }
  }

  Node::Data* Make(NodeKind kind, const YAML::Mark& mark, const std::string& tag,
                   YAML::anchor_t anchor) {
    Place place = PlaceOf(mark);
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refused{place, "a tag (" + Quote(tag) + "); tags have no meaning here, leave it out"};
    }
    Count(place, 1);
    Node::Data* data = document_.Make(kind, place);
    if (anchor != 0) anchors_[anchor] = data;
    bool closed = kind == NodeKind::kScalar || kind == NodeKind::kNull;
    data->complete = closed;
    return data;
  }

  // Finds how long a scalar is on its line, and whether it was quoted (and the quote closed).
  void Measure(Node::Data* data) {
    std::string_view text = document_.From(data->place);
    // The mark stands before an anchor, which is no part of the value.
    if (!text.empty() && text[0] == '&') {
      text.remove_prefix(std::min(text.find_first_of(" \t\r\n"), text.size()));
      text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    }
    std::size_t length = data->text.size();
    if (!text.empty() && (text[0] == '"' || text[0] == '\'')) {
      data->quoted = true;
      length = QuotedSize(text);
      if (length == 0) throw Refused{data->place, "this quote is never closed"};
    } else if (!text.empty() && (text[0] == '|' || text[0] == '>')) {
      data->quoted = true;
      length = 1;
    }
    // Of the line no more than is asked for: one may hold a million values.
    std::string_view line = document_.From(data->place).substr(0, length);
    line = line.substr(0, line.find_first_of("\r\n"));
    data->place.length = static_cast<int>(std::max<std::size_t>(line.size(), 1));
  }

  void Open(Node::Data* data) {
    if (open_depth() >= kMaxDepth) TooDeep(data->place);
    data->height = 1;
    Add(data);
    open_.push_back({data, nullptr, {}});
    pending_key_ = nullptr;
  }

  void Close() {
    Node::Data* data = open_.back().data;
    data->complete = true;
    open_.pop_back();
    pending_key_ = nullptr;
    if (open_.empty()) return;
    Absorb(open_.back().data, data);
  }

  static void Absorb(Node::Data* parent, const Node::Data* child) {
    parent->weight += child->weight;
    parent->height = std::max(parent->height, child->height + 1);
  }

  void Add(Node::Data* data) {
    if (open_.empty()) {
      root_ = data;
      return;
    }
    Level& level = open_.back();
    if (data->complete) Absorb(level.data, data);
    bool alias = data->parent != nullptr || data == root_;
    if (level.data->kind == NodeKind::kList) {
      if (!alias) {
        data->parent = level.data;
        data->index = level.data->children.size();
      }
      level.data->children.push_back(data);
    } else if (level.key == nullptr) {
      AddKey(&level, data, alias);
    } else {
      if (!alias) {
        data->parent = level.data;
        data->key = level.key;
      }
      // Of two entries with one key the first counts; the second is reported, and left out.
      if (level.keys.insert(level.key->text).second) {
        level.data->children.push_back(level.key);
        level.data->children.push_back(data);
      }
      level.key = nullptr;
      pending_key_ = nullptr;
    }
  }

  void AddKey(Level* level, Node::Data* data, bool alias) {
    if (data->kind != NodeKind::kScalar) throw Refused{data->place, "a key must be plain text"};
    if (data->text == "<<" && !data->quoted) {
      throw Refused{
          data->place,
          "merge keys ('<<') are not read; repeat the keys here, and leave out a key that only "
          "held them: an anchor (&name) stands at a value that is in use, and *name in "
          "another place is all of that value"};
    }
    if (alias) throw Refused{data->place, "an alias cannot be a key"};
    data->parent = level->data;
    data->key = data;
    if (level->keys.contains(data->text)) {
      document_.Report(data->place, document_.NodeOf(data).path(),
                       "duplicate key " + Quote(data->text) + "; it stands above already");
    }
    level->key = data;
    pending_key_ = data;
  }

  Impl& document_;
  Node::Data* root_ = nullptr;
  int documents_ = 0;
  std::uint64_t count_ = 0;
  std::vector<Level> open_;
  Node::Data* pending_key_ = nullptr;  // of the innermost map
  std::unordered_map<YAML::anchor_t, Node::Data*> anchors_;
};

void Document::Impl::Parse() {
  Builder builder(this);
  try {
    if (bytes.size() > kMaxText)
      throw Refused{{}, "larger than 4 MiB; move long lists to files of their own"};
    if (std::optional<TextFault> fault = FindTextFault(bytes)) {
      throw Refused{{fault->line, fault->column, 1}, fault->message};
    }
    ViewBuffer buffer(bytes);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    root = builder.root();
    return;
  } catch (const Refused& refused) {
    Report(refused.place, {}, refused.message + kNotYet);
  } catch (const YAML::DeepRecursion& error) {
    Report(PlaceOf(error.mark), {}, std::string("nested too deeply") + kNotYet);
  } catch (const YAML::Exception& error) {
    auto [at, message] = Explain(*this, PlaceOf(error.mark), error.msg);
    bool bracket = error.msg.find("flow not found") != std::string::npos;
    if (bracket && builder.innermost_line() > 0) {
      message += " (it was opened in line " + std::to_string(builder.innermost_line()) + ")";
    }
    Report(at, {}, std::move(message) + kNotYet);
  } catch (const std::exception& error) {
    Report({}, {}, std::string("cannot be read as YAML: ") + error.what());
  }
}

Document::Document(std::string file, std::string_view text, Diagnostics* diagnostics) {
  // A byte order mark is no part of the text.
  if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
  impl_ = std::make_unique<Impl>(std::move(file), text, diagnostics);
  impl_->Parse();
}

Document::~Document() = default;

Node Document::root() const {
  return impl_->NodeOf(impl_->root);
}

}  // namespace spillway::yaml
