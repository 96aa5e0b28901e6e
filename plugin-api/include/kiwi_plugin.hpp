// Plugins of kiwi-host in C++17 against libtorch: base classes, and the macros that register components.
//
//   class Mean final : public kiwi::Metric { ... };
//   KIWI_METRIC(Mean, "Mean of something", R"({"type": "object"})")
//   KIWI_PLUGIN("my-plugin", "0.1.0", "What it is for", "MIT", "")
//
// docs/cpp-plugins.md is the guide. Everything here is made of the functions and tables of kiwi_plugin.h.
#pragma once

#include "kiwi/components.hpp"
#include "kiwi/metadata.hpp"
#include "kiwi/registration.hpp"
#include "kiwi/tables.hpp"
#include "kiwi/tensors.hpp"
#include "kiwi/values.hpp"

#define KIWI_DETAIL_COMPONENT(kind_, Class, summary_, schema_, Functions)                                    \
  KIWI_DETAIL_RECORD(                                                                                        \
      kiwi_record_of_##Class,                                                                                \
      {"record", "component"},                                                                               \
      {"kind", kind_},                                                                                       \
      {"class", #Class},                                                                                     \
      {"summary", summary_})                                                                                 \
  namespace {                                                                                                \
  const ::kiwi::detail::Registration kiwi_registration_of_##Class(                                           \
      ::kiwi::detail::Functions<Class>::component(#Class, schema_));                                         \
  }

// Registers a component: its class, one sentence for listings, and the JSON Schema of its options. The class's name is the
// `class_name` of a config; it must stand in the namespace where the macro is used. After each macro no semicolon is needed.
#define KIWI_ENCODER(Class, summary, schema) \
  KIWI_DETAIL_COMPONENT("encoder", Class, summary, schema, EncoderFunctions)
#define KIWI_HEAD(Class, summary, schema) KIWI_DETAIL_COMPONENT("head", Class, summary, schema, HeadFunctions)
#define KIWI_OPTIMIZER(Class, summary, schema) \
  KIWI_DETAIL_COMPONENT("optimizer", Class, summary, schema, OptimizerFunctions)
#define KIWI_METRIC(Class, summary, schema) \
  KIWI_DETAIL_COMPONENT("metric", Class, summary, schema, MetricFunctions)

// Registers a system: an identifier that stands for an encoder and a head in a config.
#define KIWI_SYSTEM(Name, encoder_, head_, summary_) \
  KIWI_DETAIL_RECORD(                                \
      kiwi_record_of_system_##Name,                  \
      {"record", "system"},                          \
      {"class", #Name},                              \
      {"summary", summary_},                         \
      {"encoder", encoder_},                         \
      {"head", head_})

// Makes the library a plugin: once, at the top level of one file. Name and version must say something; description, licence (an
// SPDX expression) and authors (separated by colons) may be "".
#define KIWI_PLUGIN(name_, version_, description_, license_, authors_)                         \
  KIWI_DETAIL_RECORD(                                                                          \
      kiwi_record_of_plugin,                                                                   \
      {"record", "plugin"},                                                                    \
      {"name", name_},                                                                         \
      {"version", version_},                                                                   \
      {"description", description_},                                                           \
      {"license", license_},                                                                   \
      {"authors", authors_},                                                                   \
      {"api_version", KIWI_API_VERSION},                                                       \
      {"minimum_host_api", KIWI_MINIMUM_HOST_API},                                             \
      {"torch", KIWI_DETAIL_TORCH_VERSION},                                                    \
      {"target", KIWI_DETAIL_TARGET},                                                          \
      {"rustc", KIWI_DETAIL_COMPILER},                                                         \
      {"panic", "unwind"})                                                                     \
  extern "C" __attribute__((visibility("default"))) const KiwiPlugin* kiwi_plugin_c_root(void) { \
    return ::kiwi::detail::plugin();                                                           \
  }
