#include "serving/openapi.h"

#include <nlohmann/json.hpp>

#include "imagerank/version.h"

namespace imagerank::serving {
namespace {

constexpr const char* kDocument = R"json({
  "openapi": "3.0.3",
  "info": {
    "title": "imagerank",
    "description": "Rewards over HTTP: images and prompts in, scores out. Only scores of one reward compare. Errors are {\"error\": {\"code\", \"message\"}}."
  },
  "security": [{}, {"token": []}],
  "paths": {
    "/v1/score": {"post": {
      "summary": "Scores images, each for a prompt, in the order they came",
      "requestBody": {"required": true, "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/ScoreRequest"}},
        "multipart/form-data": {"schema": {"$ref": "#/components/schemas/ScoreForm"}}}},
      "responses": {"200": {"$ref": "#/components/responses/Scores"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/rank": {"post": {
      "summary": "Scores images and puts the best first",
      "requestBody": {"required": true, "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/ScoreRequest"}},
        "multipart/form-data": {"schema": {"$ref": "#/components/schemas/ScoreForm"}}}},
      "responses": {"200": {"$ref": "#/components/responses/Scores"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/embeddings": {"post": {
      "summary": "Vectors of texts or images, as the encoder gives them, not normalised; the shape of OpenAI's answer",
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/EmbeddingRequest"}}}},
      "responses": {"200": {"description": "One embedding an input", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Embeddings"}}}},
                    "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/models": {"get": {"summary": "The rewards that are served", "responses": {"200": {"description": "A list"}}}},
    "/v2": {"get": {"summary": "Open Inference Protocol: the server's name and version", "responses": {"200": {"description": "An object"}}}},
    "/v2/health/live": {"get": {"summary": "Whether the server runs", "responses": {"200": {"description": "It does"}}}},
    "/v2/health/ready": {"get": {"summary": "Whether it takes work", "responses": {"200": {"description": "It does"}, "503": {"description": "It is about to stop"}}}},
    "/v2/models/{name}": {"get": {"summary": "A reward's tensors", "parameters": [{"$ref": "#/components/parameters/Name"}], "responses": {"200": {"description": "An object"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v2/models/{name}/ready": {"get": {"summary": "Whether a reward is served", "parameters": [{"$ref": "#/components/parameters/Name"}], "responses": {"200": {"description": "It is"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v2/models/{name}/infer": {"post": {
      "summary": "Open Inference Protocol: BYTES tensors image (base64) and prompt in, FP32 score out",
      "parameters": [{"$ref": "#/components/parameters/Name"}],
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferenceRequest"}}}},
      "responses": {"200": {"description": "Output tensors"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/voting": {"get": {"summary": "Voting: what there is to choose from, and the guideline to agree to", "responses": {"200": {"description": "An object"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/sessions": {"post": {
      "summary": "Voting: somebody comes to choose",
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SessionRequest"}}}},
      "responses": {"201": {"description": "{token, choices, strategy}"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/sets/next": {"get": {"summary": "Voting: the session's open set, or the next; null once all were seen", "parameters": [{"$ref": "#/components/parameters/Session"}], "responses": {"200": {"description": "{set, progress}"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/votes": {"post": {
      "summary": "Voting: the best of a set, or none; answered once it is on disk",
      "parameters": [{"$ref": "#/components/parameters/Session"}],
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Vote"}}}},
      "responses": {"201": {"description": "{progress}"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/undo": {"post": {"summary": "Voting: takes the session's last vote back, and gives its set again", "parameters": [{"$ref": "#/components/parameters/Session"}], "responses": {"200": {"description": "{set, progress}"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/images/{name}": {"get": {"summary": "Voting: an image's file, by uid", "parameters": [{"$ref": "#/components/parameters/Name"}], "responses": {"200": {"description": "The file"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/watch": {"get": {"summary": "Voting: agreement between people and with the rewards, position bias, speed", "parameters": [{"name": "half_width", "in": "query", "schema": {"type": "number", "default": 0.05}}], "responses": {"200": {"description": "An object"}, "default": {"$ref": "#/components/responses/Error"}}}},
    "/v1/reports": {"get": {"summary": "The workspace's reports; each is a page at /reports/{name}", "responses": {"200": {"description": "A list"}}}},
    "/metrics": {"get": {"summary": "Counts and times for Prometheus", "responses": {"200": {"description": "Text"}}}}
  },
  "components": {
    "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Where the server has a token file"}},
    "parameters": {"Name": {"name": "name", "in": "path", "required": true, "schema": {"type": "string"}},
      "Session": {"name": "Session-Token", "in": "header", "required": true, "schema": {"type": "string"}}},
    "schemas": {
      "Image": {"type": "string", "description": "A whole JPEG, PNG, WebP or GIF file as base64, or as a data URI; an http or https URL where the server takes them"},
      "ScoreRequest": {"type": "object", "properties": {
        "reward": {"type": "string", "description": "Needed where several are served"},
        "rewards": {"type": "array", "items": {"type": "string"}, "description": "Several at once: the answer is {\"results\": [...]}"},
        "prompt": {"type": "string"},
        "images": {"type": "array", "items": {"$ref": "#/components/schemas/Image"}},
        "items": {"type": "array", "description": "Instead of prompt and images: pairs of their own",
                  "items": {"type": "object", "required": ["prompt", "image"], "properties": {"prompt": {"type": "string"}, "image": {"$ref": "#/components/schemas/Image"}}}},
        "top": {"type": "integer", "description": "rank: the best so many only"}}},
      "ScoreForm": {"type": "object", "required": ["prompt", "image"], "properties": {
        "prompt": {"type": "string", "description": "Once, or once an image"},
        "image": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "reward": {"type": "string"}, "top": {"type": "integer"}}},
      "Scores": {"type": "object", "properties": {
        "reward": {"type": "string"}, "encoder": {"type": "string"}, "failed": {"type": "integer"},
        "scores": {"type": "array", "items": {"type": "object", "properties": {
          "index": {"type": "integer", "description": "Of the image in the request"},
          "score": {"type": "number", "nullable": true},
          "probability": {"type": "number", "nullable": true, "description": "That people prefer the image to the others of its prompt in the request; null where the reward is not calibrated, or the image is alone"},
          "truncated": {"type": "boolean", "description": "The prompt did not fit the encoder's context"},
          "error": {"type": "object", "nullable": true, "properties": {"reason": {"type": "string"}, "message": {"type": "string"}}},
          "rank": {"type": "integer", "nullable": true, "description": "rank only: 1 is the best"}}}}}},
      "SessionRequest": {"type": "object", "properties": {"user": {"type": "string", "description": "A name; a hash of it is kept"},
        "choices": {"type": "integer", "enum": [2, 4]}, "strategy": {"type": "string", "enum": ["random", "balanced", "uncertain"]},
        "agreed": {"type": "boolean", "description": "To the guideline, where there is one"}}},
      "Vote": {"type": "object", "required": ["set"], "properties": {"set": {"type": "string"},
        "choice": {"type": "string", "nullable": true, "description": "The uid of the best; null: no preference"},
        "skipped": {"type": "boolean"}, "ms": {"type": "number", "description": "From seeing the set to the answer"}}},
      "EmbeddingRequest": {"type": "object", "required": ["input"], "properties": {
        "input": {"description": "A text or image, or an array of them"},
        "modality": {"type": "string", "enum": ["text", "image"], "default": "text"},
        "model": {"type": "string", "description": "A reward, whose encoder is meant; needed where several are served"},
        "encoding_format": {"type": "string", "enum": ["float", "base64"], "default": "float"}}},
      "Embeddings": {"type": "object", "properties": {"object": {"type": "string"}, "model": {"type": "string"},
        "data": {"type": "array", "items": {"type": "object", "properties": {"object": {"type": "string"}, "index": {"type": "integer"}, "embedding": {}, "truncated": {"type": "boolean"}}}},
        "usage": {"type": "object", "properties": {"prompt_tokens": {"type": "integer", "description": "Of the texts, as the tower read them; 0 of images"}, "total_tokens": {"type": "integer"}}}}},
      "InferenceRequest": {"type": "object", "required": ["inputs"], "properties": {"id": {"type": "string"},
        "inputs": {"type": "array", "items": {"type": "object", "required": ["name", "shape", "datatype", "data"], "properties": {
          "name": {"type": "string", "enum": ["image", "prompt"]}, "shape": {"type": "array", "items": {"type": "integer"}},
          "datatype": {"type": "string", "enum": ["BYTES"]}, "data": {"type": "array", "items": {"type": "string"}}}}}}}
    },
    "responses": {
      "Scores": {"description": "A score an image", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Scores"}}}},
      "Error": {"description": "400 not what it says it is, 401 no token, 404 no such path or reward, 408 too slow, 413 too large, 415 another media type, 422 a field, 429 the queue is full, 503 about to stop",
                "content": {"application/json": {"schema": {"type": "object", "properties": {"error": {"type": "object", "properties": {"code": {"type": "integer"}, "message": {"type": "string"}}}}}}}}
    }
  }
})json";

constexpr const char* kPage = R"html(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>imagerank: the server's interface</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { font: 600 1rem ui-monospace, monospace; margin: 0; overflow-wrap: anywhere; }
h2 b { display: inline-block; min-width: 3.2rem; }
section { border-top: 1px solid var(--line); padding: .8rem 0; }
p { margin: .3rem 0; }
pre { background: var(--soft); padding: .6rem; overflow: auto; font-size: .85rem; border-radius: .3rem; }
summary { cursor: pointer; }
</style>
<h1>imagerank</h1>
<p id="about">Loading the description of this server's routes. Without script it is at <a href="/openapi.json">/openapi.json</a>.</p>
<main id="routes"></main>
<script>
const add = (parent, name, text) => { const node = document.createElement(name); node.textContent = text; parent.append(node); return node; };
fetch("/openapi.json").then(answer => answer.json()).then(api => {
  const find = path => path.slice(2).split("/").reduce((value, key) => value[key], api);
  const resolve = value => Array.isArray(value) ? value.map(resolve)
    : value && typeof value === "object" ? (value.$ref ? resolve(find(value.$ref)) : Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v)])))
    : value;
  document.getElementById("about").textContent = api.info.description + " Version " + api.info.version + ".";
  const main = document.getElementById("routes");
  for (const [path, methods] of Object.entries(api.paths)) for (const [method, route] of Object.entries(methods)) {
    const section = add(main, "section", "");
    const title = add(section, "h2", "");
    add(title, "b", method.toUpperCase());
    title.append(" " + path);
    add(section, "p", route.summary);
    const content = route.requestBody ? Object.entries(resolve(route.requestBody).content) : [];
    for (const [type, body] of content) {
      const details = add(section, "details", "");
      add(details, "summary", "Takes " + type);
      add(details, "pre", JSON.stringify(body.schema, null, 2));
    }
    for (const [status, answer] of Object.entries(route.responses)) {
      const whole = resolve(answer);
      const details = add(section, "details", "");
      add(details, "summary", (status === "default" ? "Errors" : status) + ": " + whole.description);
      if (whole.content) add(details, "pre", JSON.stringify(Object.values(whole.content)[0].schema, null, 2));
    }
  }
}).catch(() => { document.getElementById("about").textContent = "The description did not load; it is at /openapi.json."; });
</script>
</html>
)html";

}  // namespace

std::string openapi_document() {
  auto document = nlohmann::ordered_json::parse(kDocument);
  document["info"]["version"] = version();
  return document.dump(2) + "\n";
}

std::string openapi_page() { return kPage; }

}  // namespace imagerank::serving
