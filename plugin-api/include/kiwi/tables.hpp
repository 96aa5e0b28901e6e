// From classes to the tables of functions that the host calls.
#pragma once

#include "components.hpp"

namespace kiwi {
namespace detail __attribute__((visibility("hidden"))) {

// The name that a class is registered by.
template <typename Class>
inline std::string_view registered_name;

template <typename Class>
Class& self(void* instance) {
  return *static_cast<Class*>(instance);
}

template <typename Class, typename Body>
std::int32_t within(KiwiCall* call, Body&& body) noexcept {
  return guarded(call, registered_name<Class>, std::forward<Body>(body));
}

// What the tables of all kinds share.
template <typename Class>
struct AnyFunctions {
  static std::int32_t check(KiwiCall* call, const KiwiConfig* config) {
    return within<Class>(call, [&] {
      Report report(call);
      Class::check(Options(config), report);
    });
  }
  static std::int32_t destroy(KiwiCall* call, void* instance) {
    return within<Class>(call, [&] { delete static_cast<Class*>(instance); });
  }
  static std::int32_t parameters(KiwiCall* call, void* instance) {
    return within<Class>(call, [&] { self<Class>(instance).named_tensors().give(call); });
  }
  static std::int32_t extra(KiwiCall* call, void* instance) {
    return within<Class>(call, [&] {
      if (const auto json = self<Class>(instance).extra()) {
        host->put_text(call, text(*json));
      }
    });
  }
  static std::int32_t load_extra(KiwiCall* call, void* instance, KiwiText json) {
    return within<Class>(call, [&] { self<Class>(instance).load_extra(view(json)); });
  }
  static KiwiComponent component(const char* kind, std::string_view name, std::string_view schema) {
    registered_name<Class> = name;
    KiwiComponent component{};
    component.size = sizeof(KiwiComponent);
    component.kind = text(kind);
    component.class_name = text(name);
    component.schema = text(schema);
    component.check = check;
    return component;
  }
};

template <typename Class>
struct EncoderFunctions : AnyFunctions<Class> {
  using Any = AnyFunctions<Class>;

  static std::int32_t create(
      KiwiCall* call,
      const KiwiConfig* config,
      const KiwiEncoderContext* context,
      void** instance) {
    return within<Class>(call, [&] { *instance = new Class(Options(config), EncoderContext(context)); });
  }
  static std::int32_t describe(KiwiCall* call, void* instance) {
    return within<Class>(call, [&] {
      const auto& encoder = self<Class>(instance);
      host->put_hidden_size(call, encoder.hidden_size());
      for (const auto& [name, size] : encoder.feature_sizes()) {
        host->put_feature_size(call, text(name), size);
      }
    });
  }
  static std::int32_t forward(
      KiwiCall* call,
      void* instance,
      const KiwiBatch* batch,
      const KiwiPass* pass) {
    return within<Class>(call, [&] {
      Features features(call);
      self<Class>(instance).forward(Batch(batch), Pass(call, pass), features);
    });
  }
  static std::int32_t needs(KiwiCall* call, const KiwiConfig* config) {
    return within<Class>(call, [&] {
      EncoderNeeds needs(call);
      Class::needs(Options(config), needs);
    });
  }
  static std::int32_t reset_state(KiwiCall* call, void* instance, bool training) {
    return within<Class>(call, [&] { self<Class>(instance).reset_state(training); });
  }
  static std::int32_t detach_state(KiwiCall* call, void* instance) {
    return within<Class>(call, [&] { self<Class>(instance).detach_state(); });
  }
  static std::int32_t carried_state(KiwiCall* call, void* instance) {
    return within<Class>(call, [&] {
      const auto state = self<Class>(instance).carried_state();
      if (state.has_value()) {
        host->put_no_tensor(call);
        for (const auto& [name, tensor] : *state) {
          host->put_tensor(call, text(name), pointer(tensor));
        }
      }
    });
  }
  static std::int32_t load_carried_state(
      KiwiCall* call,
      void* instance,
      const KiwiNamedTensor* first,
      std::size_t count) {
    return within<Class>(call, [&] { self<Class>(instance).load_carried_state(tensors(first, count)); });
  }
  static KiwiComponent component(std::string_view name, std::string_view schema) {
    static constexpr KiwiEncoderTable table = {
        sizeof(KiwiEncoderTable),
        create,
        Any::destroy,
        describe,
        Any::parameters,
        forward,
        needs,
        Any::extra,
        Any::load_extra,
        reset_state,
        detach_state,
        carried_state,
        load_carried_state};
    auto component = Any::component("encoder", name, schema);
    component.encoder = &table;
    return component;
  }
};

template <typename Class>
struct HeadFunctions : AnyFunctions<Class> {
  using Any = AnyFunctions<Class>;

  static std::int32_t create(
      KiwiCall* call,
      const KiwiConfig* config,
      const KiwiHeadContext* context,
      void** instance) {
    return within<Class>(call, [&] { *instance = new Class(Options(config), HeadContext(context)); });
  }
  static std::int32_t metrics(KiwiCall* call, void* instance) {
    return within<Class>(call, [&] {
      for (const auto& request : self<Class>(instance).metrics()) {
        host->put_metric(call, text(request.output), text(request.class_name));
      }
    });
  }
  static std::int32_t forward(
      KiwiCall* call,
      void* instance,
      const KiwiFeature* features,
      std::size_t feature_count,
      const KiwiBatch* batch,
      const KiwiPass* pass) {
    return within<Class>(call, [&] {
      HeadOutput output(call);
      self<Class>(instance).forward(
          GivenFeatures(features, feature_count), Batch(batch), Pass(call, pass), output);
    });
  }
  static std::int32_t needs(KiwiCall* call, const KiwiConfig* config) {
    return within<Class>(call, [&] {
      HeadNeeds needs(call);
      Class::needs(Options(config), needs);
    });
  }
  static KiwiComponent component(std::string_view name, std::string_view schema) {
    static constexpr KiwiHeadTable table = {
        sizeof(KiwiHeadTable),
        create,
        Any::destroy,
        Any::parameters,
        metrics,
        forward,
        needs,
        Any::extra,
        Any::load_extra};
    auto component = Any::component("head", name, schema);
    component.head = &table;
    return component;
  }
};

template <typename Class>
struct MetricFunctions : AnyFunctions<Class> {
  using Any = AnyFunctions<Class>;

  static std::int32_t create(KiwiCall* call, const KiwiConfig* config, void** instance) {
    return within<Class>(call, [&] { *instance = new Class(Options(config)); });
  }
  static std::int32_t contribution(KiwiCall* call, void* instance, const KiwiGroup* output) {
    return within<Class>(call, [&] {
      const at::Tensor contribution = self<Class>(instance).contribution(Output(output));
      host->put_contribution(call, pointer(contribution));
    });
  }
  static std::int32_t value(KiwiCall* call, void* instance, const double* total, std::size_t count) {
    return within<Class>(call, [&] {
      if (const auto value = self<Class>(instance).value({total, count})) {
        host->put_number(call, *value);
      }
    });
  }
  static KiwiComponent component(std::string_view name, std::string_view schema) {
    static constexpr KiwiMetricTable table = {
        sizeof(KiwiMetricTable),
        static_cast<std::uint32_t>(Class::ordering),
        create,
        Any::destroy,
        contribution,
        value};
    auto component = Any::component("metric", name, schema);
    component.metric = &table;
    return component;
  }
};

template <typename Class>
struct OptimizerFunctions : AnyFunctions<Class> {
  using Any = AnyFunctions<Class>;

  static std::int32_t create(
      KiwiCall* call,
      const KiwiConfig* config,
      const KiwiGroup* groups,
      std::size_t count,
      void** instance) {
    return within<Class>(call, [&] {
      std::vector<ParameterGroup> given;
      for (std::size_t i = 0; i < count; ++i) {
        const auto& group = groups[i];
        given.push_back({std::string(view(group.name)), tensors(group.tensors, group.tensor_count)});
      }
      *instance = new Class(Options(config), std::move(given));
    });
  }
  static std::int32_t step(KiwiCall* call, void* instance, const double* rates, std::size_t count) {
    return within<Class>(call, [&] { self<Class>(instance).step({rates, count}); });
  }
  static std::int32_t state(KiwiCall* call, void* instance) {
    return within<Class>(call, [&] {
      for (const auto& [name, tensor] : self<Class>(instance).state()) {
        host->put_tensor(call, text(name), pointer(tensor));
      }
    });
  }
  static std::int32_t load_state(
      KiwiCall* call,
      void* instance,
      const KiwiNamedTensor* first,
      std::size_t count) {
    return within<Class>(call, [&] { self<Class>(instance).load_state(tensors(first, count)); });
  }
  static std::int32_t check_schedule(
      KiwiCall* call,
      const KiwiConfig* config,
      const KiwiScheduleKeys* keys) {
    return within<Class>(call, [&] {
      ScheduleKeys given;
      if (keys->warmup == KIWI_WARMUP_STEPS) {
        given.warmup_steps = keys->warmup_steps;
      } else if (keys->warmup == KIWI_WARMUP_SHARE) {
        given.warmup_share = keys->warmup_share;
      }
      if (keys->has_training_steps) {
        given.training_steps = keys->training_steps;
      }
      Report report(call);
      Class::check_schedule(Options(config), given, report);
    });
  }
  static std::int32_t schedule(
      KiwiCall* call,
      const KiwiConfig* config,
      const KiwiScheduleContext* context,
      void** made) {
    return within<Class>(call, [&] {
      ScheduleContext given{std::nullopt, context->training_steps, context->hidden_size};
      if (context->has_warmup) {
        given.warmup_steps = context->warmup_steps;
      }
      auto schedule = Class::schedule(Options(config), given);
      host->put_text(call, text(schedule.description));
      *made = new Schedule(std::move(schedule));
    });
  }
  static std::int32_t schedule_factor(KiwiCall* call, void* schedule, std::uint64_t step) {
    return within<Class>(call, [&] { host->put_number(call, self<Schedule>(schedule).factor(step)); });
  }
  static std::int32_t destroy_schedule(KiwiCall* call, void* schedule) {
    return within<Class>(call, [&] { delete static_cast<Schedule*>(schedule); });
  }
  static KiwiComponent component(std::string_view name, std::string_view schema) {
    static constexpr KiwiOptimizerTable table = {
        sizeof(KiwiOptimizerTable),
        create,
        Any::destroy,
        step,
        state,
        load_state,
        Class::sparse_only,
        Class::has_schedule,
        check_schedule,
        schedule,
        schedule_factor,
        destroy_schedule};
    auto component = Any::component("optimizer", name, schema);
    component.optimizer = &table;
    return component;
  }
};

} // namespace detail
} // namespace kiwi
