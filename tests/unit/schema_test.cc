// SPDX-License-Identifier: MIT
// That the schema follows the tables; what it refuses is held against the binary in
// tests/e2e/schema_test.py.
#include "proxy/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::Not;

Json Schema(SchemaOf what = SchemaOf::kFile) {
  return MakeSchema(ListKinds(), ListShapes(), what);
}

std::string Text(const Json& json) {
  return DumpJson(json);
}

// The schema of a language that has these keys, one `integer` and one `name`.
Json Small(const std::vector<Kind>& kinds) {
  return MakeSchema(kinds,
                    {{"integer", "^[0-9]+$", "a whole number", Shape::Scalar::kTextOrInteger},
                     {"name", "^[a-z]+$", "a name"}},
                    SchemaOf::kFile);
}

TEST(Schema, HasEveryTopLevelKeyWithItsSentence) {
  const Json properties = Schema()["properties"];
  std::size_t keys = 0;
  for (const Kind& kind : ListKinds()) {
    if (kind.group != "key" || kind.name.find_first_of(".[") != std::string::npos) continue;
    ASSERT_TRUE(properties.contains(kind.name)) << kind.name;
    EXPECT_EQ(TextAt(properties[kind.name], "description"), kind.text);
    ++keys;
  }
  EXPECT_GE(keys, 17U);
  EXPECT_EQ(properties.size(), keys);
}

TEST(Schema, UnderstandsEveryType) {
  EXPECT_THAT(Text(Schema()), Not(HasSubstr("unknown type")));
  EXPECT_THAT(Text(Schema(SchemaOf::kIncludedFile)), Not(HasSubstr("unknown type")));
  EXPECT_THAT(Text(Small({{"key", "a", "mystery", "", "x"}})), HasSubstr("unknown type: mystery"));
}

TEST(Schema, EveryReferenceHasItsDefinitionAndEveryDefinitionIsReferredTo) {
  for (const SchemaOf what : {SchemaOf::kFile, SchemaOf::kIncludedFile}) {
    const Json schema = Schema(what);
    const std::string text = Text(schema);
    std::size_t references = 0;
    for (const auto& [name, definition] : schema["$defs"].items()) {
      EXPECT_THAT(text, HasSubstr("\"#/$defs/" + name + "\""));
      EXPECT_FALSE(definition.empty()) << name;
    }
    constexpr std::string_view kReference = "\"#/$defs/";
    for (std::size_t at = 0; (at = text.find(kReference, at)) != std::string::npos; ++references) {
      at += kReference.size();
      EXPECT_TRUE(schema["$defs"].contains(text.substr(at, text.find('"', at) - at)));
    }
    EXPECT_GT(references, 20U);
  }
}

TEST(Schema, AnIncludedFileHasOnlyWhatItMayHoldAndNeedsNothing) {
  const Json schema = Schema(SchemaOf::kIncludedFile);
  std::vector<std::string> names;
  for (const auto& [name, unused] : schema["properties"].items()) names.push_back(name);
  EXPECT_THAT(names, testing::UnorderedElementsAre("include", "limits", "lists", "rules", "tests"));
  EXPECT_FALSE(schema.contains("required"));
  EXPECT_THAT(Text(Schema()["required"]), R"(["version"])");
}

TEST(Schema, ARowIsEnoughForAKey) {
  const Json schema = Small({{"key", "a", "map", "", "a section"},
                             {"key", "a.b", "auto | integer 1..5", "auto", "a number", true},
                             {"key", "a.c", "name, or list of these", "", "names"},
                             {"key", "d", "map of names", "", "by name"},
                             {"key", "d.NAME.e", "true | false", "true", "a switch"},
                             {"key", "f", "list of maps", "", "several"},
                             {"key", "f[].g", "1.2 | 1.3", "1.2", "words"}});
  const Json& properties = schema["properties"];
  EXPECT_EQ(Text(properties["a"]["required"]), R"(["b"])");
  EXPECT_EQ(Text(properties["a"]["additionalProperties"]), "false");
  EXPECT_EQ(Text(properties["a"]["properties"]["b"]),
            R"({"description":"a number","default":"auto","anyOf":[{"enum":["auto"]},)"
            R"({"$ref":"#/$defs/integer","minimum":1,"maximum":5}]})");
  EXPECT_EQ(Text(properties["a"]["properties"]["c"]),
            R"({"description":"names","anyOf":[{"$ref":"#/$defs/name"},)"
            R"({"type":"array","items":{"$ref":"#/$defs/name"}}]})");
  EXPECT_EQ(Text(properties["d"]["additionalProperties"]["properties"]["e"]),
            R"({"description":"a switch","default":true,"$ref":"#/$defs/boolean"})");
  EXPECT_EQ(Text(properties["f"]["items"]["properties"]["g"]["enum"]), R"(["1.2",1.2,"1.3",1.3])");
}

TEST(Schema, ARowIsEnoughForAConditionAndItOffersItsOperatorsOnly) {
  std::vector<Kind> kinds = ListKinds();
  kinds.push_back({"condition", "moon", "value, list or map of operators", "", "the moon's phase"});
  kinds.back().operators = {"present"};
  kinds.push_back({"condition", "tide", "high | low", "", "the tide"});
  kinds.back().words = {"high", "low"};
  const Json schema = MakeSchema(kinds, ListShapes(), SchemaOf::kFile);
  const Json& match = schema["$defs"]["match"]["properties"];
  EXPECT_EQ(TextAt(match["moon"], "$ref"), "#/$defs/test_of_moon");
  EXPECT_EQ(schema["$defs"]["test_of_moon"]["anyOf"][2]["properties"].size(), 1U);
  EXPECT_EQ(Text(schema["$defs"]["test_of_tide"]["anyOf"][0]["anyOf"][0]),
            R"({"enum":["high","low"]})");
}

TEST(Schema, AConditionWithKeysOfItsOwnHasAMapOfThem) {
  std::vector<Kind> kinds = ListKinds();
  kinds.push_back({"condition", "moon", "name or map", "", "the moon's phase"});
  kinds.push_back({"condition_key", "moon.days", "integer 1..28", "", "how old it is"});
  kinds.push_back({"condition", "tide.NAME.height", "integer, or list of these", "", "the tide"});
  const Json schema = MakeSchema(kinds, ListShapes(), SchemaOf::kFile);
  const Json& match = schema["$defs"]["match"];
  EXPECT_EQ(Text(match["properties"]["moon"]["anyOf"][1]["properties"]["days"]),
            R"({"description":"how old it is","$ref":"#/$defs/integer","minimum":1,"maximum":28})");
  EXPECT_TRUE(match["patternProperties"].contains(R"(^tide\..+\.height$)"));
}

TEST(Schema, ARowIsEnoughForAnActionAndItsArguments) {
  std::vector<Kind> kinds = ListKinds();
  kinds.push_back({"action", "praise", "nothing or map", "", "say something nice"});
  kinds.push_back({"action", "praise.times", "integer 1..3", "1", "how often"});
  const Json schema = MakeSchema(kinds, ListShapes(), SchemaOf::kFile);
  const Json& action = schema["properties"]["rules"]["items"]["properties"]["action"];
  EXPECT_THAT(Text(action["anyOf"][0]["enum"]), HasSubstr("\"praise\""));
  EXPECT_EQ(
      Text(action["anyOf"][1]["properties"]["praise"]["anyOf"][1]["properties"]["times"]),
      R"({"description":"how often","default":1,"$ref":"#/$defs/integer","minimum":1,"maximum":3})");
}

}  // namespace
}  // namespace spillway
