// The boundary between kiwi-host and a plugin that is not written in Rust.
//
// A plugin is a shared library that exports `kiwi_plugin_c_root` and has metadata records in its section `.kiwi_plugin`.
// `kiwi_plugin.hpp` does both for plugins in C++; docs/cpp-plugins.md describes them.
//
// A struct that begins with `size` may grow at its end: read no more of it than `size` says. Texts are UTF-8 and have a length.
// A `KiwiTensor` is an `at::Tensor`. What a function is given is valid until it returns.


#ifndef KIWI_PLUGIN_H
#define KIWI_PLUGIN_H

// Made by `cargo xtask generate`. Do not change it by hand.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Version of this interface, which a plugin writes into its metadata.
#define KIWI_API_VERSION "1.1.0"

// Oldest version that a host must have to run a plugin that uses all of this header.
#define KIWI_MINIMUM_HOST_API "1.1.0"


// `warmup_steps` is not given.
#define KIWI_WARMUP_NONE 0

// `warmup_steps` is given in optimizer steps.
#define KIWI_WARMUP_STEPS 1

// `warmup_steps` is given as a share of the training steps.
#define KIWI_WARMUP_SHARE 2

// What a call across the boundary returns where it was done.
#define KIWI_DONE 0

// What it returns where it failed; `fail` says why.
#define KIWI_FAILED 1

// The component could not do what was asked; it may be called again.
#define KIWI_FAILURE_ERROR 0

// Something was thrown that the component did not expect: the instance is not called again, nor freed.
#define KIWI_FAILURE_EXCEPTION 2

// A parameter that an optimizer may change.
#define KIWI_PARAMETER_TRAINABLE 1

// No parameter but a constant that belongs to the saved state.
#define KIWI_PARAMETER_BUFFER 2

// Shown with `--verbose`.
#define KIWI_LOG_DEBUG 0

// Shown unless `--quiet`.
#define KIWI_LOG_INFO 1

// Always shown.
#define KIWI_LOG_WARNING 2

// There is no such option.
#define KIWI_OPTION_ABSENT 0

// The option is null.
#define KIWI_OPTION_NULL 1

// The option is true or false.
#define KIWI_OPTION_BOOLEAN 2

// The option is an integer.
#define KIWI_OPTION_INTEGER 3

// The option is a number that is no integer.
#define KIWI_OPTION_NUMBER 4

// The option is a string.
#define KIWI_OPTION_TEXT 5

// The option is an array.
#define KIWI_OPTION_ARRAY 6

// The option is an object.
#define KIWI_OPTION_OBJECT 7

// The version of this boundary: a host refuses a plugin of another one.
#define KIWI_ABI_VERSION 1

// Smaller values of a metric are better.
#define KIWI_ORDERING_MIN 0

// Larger values of a metric are better.
#define KIWI_ORDERING_MAX 1

// One call of a component, as the host keeps it: where results go. It is valid during the call, on the thread that was called.
typedef struct KiwiCall KiwiCall;

// UTF-8 of a length, not ended by a zero. It is valid during the call in which it is given.
typedef struct KiwiText {
  // The first byte; may be null where `length` is 0.
  const char *pointer;
  // Bytes.
  size_t length;
} KiwiText;

// An `at::Tensor` of libtorch, by its address. Whoever receives one copies the handle (`at::Tensor copy = *pointer`) to keep it;
// nobody frees what the other side gave.
typedef struct KiwiTensor KiwiTensor;

// The options of a component, checked against its JSON Schema and with their defaults filled in. Valid during the call.
typedef struct KiwiConfig KiwiConfig;

// The host's functions, given to a plugin right after it was opened; they live as long as the process.
//
// Which results a call takes stands beside each function of the tables. A feature or a parameter is given once; of any other result
// that is given again, the last counts.
typedef struct KiwiHost {
  // Bytes of this struct.
  size_t size;
  // Says why a call fails: one of `KIWI_FAILURE_ERROR` and `KIWI_FAILURE_EXCEPTION`, and a lower-case fragment that says what
  // was found and what was expected. The function then returns `KIWI_FAILED`.
  void (*fail)(struct KiwiCall *call, uint32_t kind, struct KiwiText message);
  // Says what lies beneath the failure, outermost first.
  void (*fail_cause)(struct KiwiCall *call, struct KiwiText cause);
  // A feature.
  void (*put_feature)(struct KiwiCall *call, struct KiwiText name, const struct KiwiTensor *tensor);
  // A feature that is a projection nobody has computed yet; `bias` may be null.
  void (*put_projection)(struct KiwiCall *call,
                         struct KiwiText name,
                         const struct KiwiTensor *input,
                         const struct KiwiTensor *weight,
                         const struct KiwiTensor *bias);
  // A named tensor of a component; the host reads and overwrites its values in place. `flags` are of `KIWI_PARAMETER_*`;
  // `alias_of` names the parameter that this one is only a second name of, else it is empty.
  void (*put_parameter)(struct KiwiCall *call,
                        struct KiwiText name,
                        const struct KiwiTensor *tensor,
                        uint32_t flags,
                        struct KiwiText alias_of);
  // A named tensor of an optimizer's state, or of the state that an encoder carries.
  void (*put_tensor)(struct KiwiCall *call, struct KiwiText name, const struct KiwiTensor *tensor);
  // There is a state to save, and no tensor in it.
  void (*put_no_tensor)(struct KiwiCall *call);
  // A tensor on the way, where the pass is traced.
  void (*put_trace)(struct KiwiCall *call, struct KiwiText name, const struct KiwiTensor *tensor);
  // The loss of a head: one number, differentiable.
  void (*put_loss)(struct KiwiCall *call, const struct KiwiTensor *loss);
  // How many items the loss is the mean over, one number on the loss's device; left out where the loss is a sum.
  void (*put_loss_count)(struct KiwiCall *call, const struct KiwiTensor *count);
  // A tensor of the output `output` of a head: `positions`, `nll`, `probability`, `correct`, or one of its own.
  void (*put_output)(struct KiwiCall *call,
                     struct KiwiText output,
                     struct KiwiText name,
                     const struct KiwiTensor *tensor);
  // A further scalar of a head, for log and progress bar.
  void (*put_scalar)(struct KiwiCall *call, struct KiwiText name, const struct KiwiTensor *tensor);
  // What a batch adds to a metric: `[K]` float64 on the output's device.
  void (*put_contribution)(struct KiwiCall *call, const struct KiwiTensor *contribution);
  // The value of a metric, or the factor of a schedule.
  void (*put_number)(struct KiwiCall *call, double value);
  // JSON that a saved system is to hold, or the description of a schedule.
  void (*put_text)(struct KiwiCall *call, struct KiwiText text);
  // The size of an encoder's hidden state.
  void (*put_hidden_size)(struct KiwiCall *call, int64_t size);
  // Last dimension of a feature that an encoder can give.
  void (*put_feature_size)(struct KiwiCall *call, struct KiwiText name, int64_t size);
  // A metric that a head wants, `{output}_{class_name}`.
  void (*put_metric)(struct KiwiCall *call, struct KiwiText output, struct KiwiText class_name);
  // A complaint about the option at `path`, as `layers[0].dim`: what is wrong, what may stand there, what to do. Empty texts
  // are left out; the host adds what stands there.
  void (*put_problem)(struct KiwiCall *call,
                      struct KiwiText path,
                      struct KiwiText message,
                      struct KiwiText expected,
                      struct KiwiText help);
  // Something about the option at `path` that is accepted, but should be known.
  void (*put_warning)(struct KiwiCall *call, struct KiwiText path, struct KiwiText message);
  // A field of a batch that is read besides `source` and `target`; `option` asks for it, empty where none does.
  void (*need_field)(struct KiwiCall *call, struct KiwiText field, struct KiwiText option);
  // The longest sentence of `field` that an encoder can take, in positions with `<bos>` and `<eos>`.
  void (*need_shorter)(struct KiwiCall *call, struct KiwiText field, int64_t positions, struct KiwiText option);
  // A parameter whose gradient is sparse.
  void (*need_sparse_gradient)(struct KiwiCall *call, struct KiwiText parameter, struct KiwiText option);
  // The encoder carries state from batch to batch.
  void (*need_carried_state)(struct KiwiCall *call);
  // A feature that a head reads. A head that names none reads all that there are.
  void (*need_feature)(struct KiwiCall *call, struct KiwiText name);
  // What stands at a path of the options, as `layers[0].dim`: one of `KIWI_OPTION_*`.
  uint32_t (*option_kind)(const struct KiwiConfig *config, struct KiwiText path);
  // The integer there; false where there is none.
  bool (*option_integer)(const struct KiwiConfig *config, struct KiwiText path, int64_t *value);
  // The number there, which may be an integer; false where there is none.
  bool (*option_number)(const struct KiwiConfig *config, struct KiwiText path, double *value);
  // The truth value there; false where there is none.
  bool (*option_boolean)(const struct KiwiConfig *config, struct KiwiText path, bool *value);
  // The string there; false where there is none.
  bool (*option_text)(const struct KiwiConfig *config, struct KiwiText path, struct KiwiText *value);
  // How many elements the array there has; false where there is none.
  bool (*option_length)(const struct KiwiConfig *config, struct KiwiText path, size_t *value);
  // All options as JSON.
  struct KiwiText (*option_json)(const struct KiwiConfig *config);
  // Takes a message: one of `KIWI_LOG_*`, plugin, class (empty if unknown), text. May be called from any thread.
  void (*log)(uint32_t level, struct KiwiText plugin, struct KiwiText class_name, struct KiwiText message);
  // Whether the host wants to stop: what takes long should ask now and then, and fail if so. From any thread.
  bool (*cancelled)(void);
} KiwiHost;

// A number with its name.
typedef struct KiwiNamedInteger {
  // The name.
  struct KiwiText name;
  // The number.
  int64_t value;
} KiwiNamedInteger;

// Ids of the special tokens, the same in every vocabulary.
typedef struct KiwiSpecialIds {
  // A word that is not in the vocabulary.
  int64_t unk;
  // Fills a row up to the batch's width.
  int64_t pad;
  // Before the first word.
  int64_t bos;
  // After the last word.
  int64_t eos;
} KiwiSpecialIds;

// What an encoder is told when it is created.
typedef struct KiwiEncoderContext {
  // Bytes of this struct.
  size_t size;
  // Size of each field's vocabulary, special tokens included.
  const struct KiwiNamedInteger *vocabulary_sizes;
  // How many.
  size_t vocabulary_count;
  // Ids of the special tokens.
  struct KiwiSpecialIds special;
  // Where parameters are to live: `cpu` or `cuda:N`.
  struct KiwiText device;
  // Whether every feature may be read; else those of `features` are.
  bool wants_all_features;
  // The features that somebody reads.
  const struct KiwiText *features;
  // How many.
  size_t feature_count;
} KiwiEncoderContext;

// A tensor with its name.
typedef struct KiwiNamedTensor {
  // The name.
  struct KiwiText name;
  // The tensor.
  const struct KiwiTensor *tensor;
} KiwiNamedTensor;

// Tensors that belong together: a field of a batch, an output of a head, a parameter group.
typedef struct KiwiGroup {
  // The name of the whole.
  struct KiwiText name;
  // The tensors.
  const struct KiwiNamedTensor *tensors;
  // How many.
  size_t tensor_count;
} KiwiGroup;

// A batch: for each field the padded ids and what describes them.
typedef struct KiwiBatch {
  // Bytes of this struct.
  size_t size;
  // The fields: `source`, `target`, and `pe` where post-edits are given.
  const struct KiwiGroup *fields;
  // How many.
  size_t field_count;
} KiwiBatch;

// One call of `forward`.
typedef struct KiwiPass {
  // Bytes of this struct.
  size_t size;
  // Whether dropout and the like are on.
  bool training;
  // Whether somebody wants to see tensors on the way: see `put_trace`.
  bool traced;
} KiwiPass;

// Functions of an encoder.
typedef struct KiwiEncoderTable {
  // Bytes of this struct.
  size_t size;
  // Builds an instance with fresh parameters, drawn from libtorch's default generator, and writes its address.
  int32_t (*create)(struct KiwiCall *call,
                    const struct KiwiConfig *config,
                    const struct KiwiEncoderContext *context,
                    void **instance);
  // Frees an instance.
  int32_t (*destroy)(struct KiwiCall *call, void *instance);
  // Gives `put_hidden_size` and, for each feature, `put_feature_size`.
  int32_t (*describe)(struct KiwiCall *call, void *instance);
  // Gives `put_parameter` for each parameter and buffer.
  int32_t (*parameters)(struct KiwiCall *call, void *instance);
  // Gives the features of a batch: `put_feature`, `put_projection`, `put_trace`.
  int32_t (*forward)(struct KiwiCall *call,
                     void *instance,
                     const struct KiwiBatch *batch,
                     const struct KiwiPass *pass);
  // Optional. Gives what it needs: `need_field`, `need_shorter`, `need_sparse_gradient`, `need_carried_state`.
  int32_t (*needs)(struct KiwiCall *call, const struct KiwiConfig *config);
  // Optional. Gives by `put_text` what a saved system must hold besides parameters, as JSON.
  int32_t (*extra)(struct KiwiCall *call, void *instance);
  // Optional. Takes over what `extra` gave.
  int32_t (*load_extra)(struct KiwiCall *call, void *instance, struct KiwiText extra);
  // Optional. Forgets the state carried in training, or in evaluation.
  int32_t (*reset_state)(struct KiwiCall *call, void *instance, bool training);
  // Optional. Cuts the state carried in training from how it came about.
  int32_t (*detach_state)(struct KiwiCall *call, void *instance);
  // Optional. Gives by `put_tensor`, or by `put_no_tensor` where there is none yet, the state carried in training; nothing where it
  // cannot be saved, so that a run that carries state is resumed from the ends of epochs only.
  int32_t (*carried_state)(struct KiwiCall *call, void *instance);
  // Optional. Takes over what `carried_state` gave, on the encoder's device.
  int32_t (*load_carried_state)(struct KiwiCall *call,
                                void *instance,
                                const struct KiwiNamedTensor *tensors,
                                size_t tensor_count);
} KiwiEncoderTable;

// What a head is told when it is created.
typedef struct KiwiHeadContext {
  // Bytes of this struct.
  size_t size;
  // Last dimension of each feature that the encoder gives.
  const struct KiwiNamedInteger *feature_sizes;
  // How many.
  size_t feature_count;
  // The encoder's hidden size.
  int64_t hidden_size;
  // Size of each field's vocabulary, special tokens included.
  const struct KiwiNamedInteger *vocabulary_sizes;
  // How many.
  size_t vocabulary_count;
  // Ids of the special tokens.
  struct KiwiSpecialIds special;
  // Where parameters are to live: `cpu` or `cuda:N`.
  struct KiwiText device;
} KiwiHeadContext;

// A feature that an encoder gave to a head: a tensor, or a projection that nobody has computed yet, `input * weight^T + bias`.
typedef struct KiwiFeature {
  // The name.
  struct KiwiText name;
  // The tensor; null where it is a projection.
  const struct KiwiTensor *tensor;
  // Input of the projection, `[.., K]`; else null.
  const struct KiwiTensor *input;
  // Weight of the projection, `[V, K]`; else null.
  const struct KiwiTensor *weight;
  // Bias of the projection, `[V]`; null where it has none.
  const struct KiwiTensor *bias;
} KiwiFeature;

// Functions of a head.
typedef struct KiwiHeadTable {
  // Bytes of this struct.
  size_t size;
  // Builds an instance with fresh parameters and writes its address.
  int32_t (*create)(struct KiwiCall *call,
                    const struct KiwiConfig *config,
                    const struct KiwiHeadContext *context,
                    void **instance);
  // Frees an instance.
  int32_t (*destroy)(struct KiwiCall *call, void *instance);
  // Gives `put_parameter` for each parameter and buffer.
  int32_t (*parameters)(struct KiwiCall *call, void *instance);
  // Gives `put_metric` for each metric it wants; the first is the main metric unless the config says otherwise.
  int32_t (*metrics)(struct KiwiCall *call, void *instance);
  // Gives loss and figures of a batch: `put_loss`, `put_loss_count`, `put_output`, `put_scalar`, `put_trace`.
  int32_t (*forward)(struct KiwiCall *call,
                     void *instance,
                     const struct KiwiFeature *features,
                     size_t feature_count,
                     const struct KiwiBatch *batch,
                     const struct KiwiPass *pass);
  // Optional. Gives what it needs: `need_field`, `need_feature`, `need_sparse_gradient`.
  int32_t (*needs)(struct KiwiCall *call, const struct KiwiConfig *config);
  // Optional. Gives by `put_text` what a saved system must hold besides parameters, as JSON.
  int32_t (*extra)(struct KiwiCall *call, void *instance);
  // Optional. Takes over what `extra` gave.
  int32_t (*load_extra)(struct KiwiCall *call, void *instance, struct KiwiText extra);
} KiwiHeadTable;

// The keys of a learning-rate schedule, as the config gives them.
typedef struct KiwiScheduleKeys {
  // Bytes of this struct.
  size_t size;
  // One of `KIWI_WARMUP_NONE`, `KIWI_WARMUP_STEPS`, `KIWI_WARMUP_SHARE`.
  uint32_t warmup;
  // Optimizer steps of warm-up, where they are given so.
  uint64_t warmup_steps;
  // Share of the training steps, where it is given so.
  double warmup_share;
  // Whether `training_steps` is given.
  bool has_training_steps;
  // Optimizer steps that the schedule is for.
  uint64_t training_steps;
} KiwiScheduleKeys;

// What a schedule is made of, once the length of the run is known.
typedef struct KiwiScheduleContext {
  // Bytes of this struct.
  size_t size;
  // Whether the config asks for a warm-up.
  bool has_warmup;
  // Optimizer steps of warm-up; a share of the training steps is not rounded.
  double warmup_steps;
  // Optimizer steps that the schedule is for.
  uint64_t training_steps;
  // The encoder's hidden size.
  int64_t hidden_size;
} KiwiScheduleContext;

// Functions of an optimizer.
typedef struct KiwiOptimizerTable {
  // Bytes of this struct.
  size_t size;
  // Builds an instance over groups of parameters and writes its address.
  int32_t (*create)(struct KiwiCall *call,
                    const struct KiwiConfig *config,
                    const struct KiwiGroup *groups,
                    size_t group_count,
                    void **instance);
  // Frees an instance.
  int32_t (*destroy)(struct KiwiCall *call, void *instance);
  // One step, with one learning rate a group. A parameter without a gradient is left as it is.
  int32_t (*step)(struct KiwiCall *call, void *instance, const double *learning_rates, size_t group_count);
  // Gives by `put_tensor` everything that the next step depends on, besides parameters and gradients.
  int32_t (*state)(struct KiwiCall *call, void *instance);
  // Takes over what `state` gave; the order of the tensors is not kept, their names are.
  int32_t (*load_state)(struct KiwiCall *call,
                        void *instance,
                        const struct KiwiNamedTensor *tensors,
                        size_t tensor_count);
  // Whether the class can use sparse gradients only.
  bool sparse_only;
  // Whether the class has a learning-rate schedule of its own; the functions below are there then.
  bool has_schedule;
  // Optional. Checks the keys of the schedule; gives `put_problem` and `put_warning`, paths as `warmup_steps`.
  int32_t (*check_schedule)(struct KiwiCall *call,
                            const struct KiwiConfig *config,
                            const struct KiwiScheduleKeys *keys);
  // Builds the schedule, writes its address, and gives by `put_text` what happens when, in steps.
  int32_t (*schedule)(struct KiwiCall *call,
                      const struct KiwiConfig *config,
                      const struct KiwiScheduleContext *context,
                      void **schedule);
  // Gives by `put_number` what the learning rates are multiplied by in a step, counted from 0.
  int32_t (*schedule_factor)(struct KiwiCall *call, void *schedule, uint64_t step);
  // Frees a schedule.
  int32_t (*destroy_schedule)(struct KiwiCall *call, void *schedule);
} KiwiOptimizerTable;

// Functions of a metric.
typedef struct KiwiMetricTable {
  // Bytes of this struct.
  size_t size;
  // `KIWI_ORDERING_MIN` or `KIWI_ORDERING_MAX`.
  uint32_t ordering;
  // Builds an instance and writes its address.
  int32_t (*create)(struct KiwiCall *call, const struct KiwiConfig *config, void **instance);
  // Frees an instance.
  int32_t (*destroy)(struct KiwiCall *call, void *instance);
  // Gives by `put_contribution` what a batch adds. It must not wait for the device.
  int32_t (*contribution)(struct KiwiCall *call, void *instance, const struct KiwiGroup *output);
  // Gives by `put_number` the figure, from the sum of all contributions; nothing where there is nothing to say.
  int32_t (*value)(struct KiwiCall *call, void *instance, const double *total, size_t total_count);
} KiwiMetricTable;

// One component. Exactly one of the tables at the end is there, that of its kind.
typedef struct KiwiComponent {
  // Bytes of this struct.
  size_t size;
  // `encoder`, `head`, `optimizer` or `metric`.
  struct KiwiText kind;
  // The name in a config.
  struct KiwiText class_name;
  // JSON Schema of its options. The host refuses keys that it does not have and fills its defaults in.
  struct KiwiText schema;
  // Optional. Checks what a schema cannot; gives `put_problem` and `put_warning`.
  int32_t (*check)(struct KiwiCall *call, const struct KiwiConfig *config);
  // Functions of an encoder.
  const struct KiwiEncoderTable *encoder;
  // Functions of a head.
  const struct KiwiHeadTable *head;
  // Functions of an optimizer.
  const struct KiwiOptimizerTable *optimizer;
  // Functions of a metric.
  const struct KiwiMetricTable *metric;
} KiwiComponent;

// A plugin, as the exported function `kiwi_plugin_c_root` gives it; it lives as long as the library, which is never unloaded.
typedef struct KiwiPlugin {
  // Bytes of this struct.
  size_t size;
  // `KIWI_ABI_VERSION`.
  uint32_t abi_version;
  // Gives the plugin its host's functions and its own name; called once, before anything else.
  void (*connect)(const struct KiwiHost *host, struct KiwiText name);
  // Its components.
  const struct KiwiComponent *const *components;
  // How many.
  size_t component_count;
} KiwiPlugin;

#endif  /* KIWI_PLUGIN_H */

// A text that is a string literal.
#define KIWI_TEXT(literal) { (literal), sizeof(literal) - 1 }

#ifdef __cplusplus
extern "C" {
#endif

// What a plugin exports.
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const KiwiPlugin *kiwi_plugin_c_root(void);

#ifdef __cplusplus
}
#endif
