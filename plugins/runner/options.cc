#include "options.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

namespace edgevision {

namespace {

constexpr int kUsage = 64;

double Number(const std::string& name, const std::string& text, double least) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= least) || value > 1e9) Fail(kUsage, name + " is not a number it takes: " + text);
  return value;
}

}  // namespace

void Fail(int code, const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "edgevision_runner: %s\n", message.c_str());
  std::exit(code);
}

Options ParseOptions(int count, char** words) {
  Options options;
  const std::map<std::string, std::string*> texts = {
      {"--library", &options.library}, {"--model", &options.model},       {"--feeds", &options.feeds},
      {"--outputs", &options.outputs}, {"--kernels", &options.kernels},   {"--provider", &options.provider},
      {"--profile", &options.profile},
  };
  const std::map<std::string, std::pair<int*, double>> numbers = {
      {"--threads", {&options.threads, 0}}, {"--cpu", {&options.cpu, -1}}, {"--copy", {&options.copy, 0}}, {"--runs", {&options.runs, 1}}};
  for (int i = 1; i < count; i += 2) {
    const std::string name = words[i];
    if (i + 1 == count) Fail(kUsage, name + " lacks its value");
    const std::string value = words[i + 1];
    if (const auto text = texts.find(name); text != texts.end()) {
      *text->second = value;
    } else if (const auto number = numbers.find(name); number != numbers.end()) {
      *number->second.first = static_cast<int>(Number(name, value, number->second.second));
    } else if (name == "--seconds") {
      options.seconds = Number(name, value, 0);
    } else {
      Fail(kUsage, "there is no option " + name);
    }
  }
  for (const char* needed : {"--library", "--model", "--feeds", "--outputs"}) {
    if (texts.at(needed)->empty()) Fail(kUsage, std::string(needed) + " is missing");
  }
  return options;
}

}  // namespace edgevision
