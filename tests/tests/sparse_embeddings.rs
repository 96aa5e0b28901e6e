//! Sparse gradients with an optimizer that cannot use them: said before training, with the option that asks for them.

use kiwi_tests::workplace::Workplace;
use serde_json::json;

const SOURCE: &str = "system.model.encoder.embeddings.source.sparse_embeddings";
const TARGET: &str = "system.model.encoder.embeddings.target.sparse_embeddings";

#[test]
fn an_optimizer_that_refuses_them_is_found_out_before_training() {
    let work = Workplace::new();
    let refused = work.try_train("run", &[(SOURCE, json!(true)), (TARGET, json!(true))]).ends_with(2).says(&[
        "`PredictorEncoder` with embeddings.source.sparse_embeddings gives \
         `encoder.embeddings.source.embedding.weight` a sparse gradient, which the optimizer `adam` cannot use",
        "embeddings.target.sparse_embeddings gives `encoder.embeddings.target.embedding.weight`",
        SOURCE,
        "set embeddings.source.sparse_embeddings to false",
    ]);
    assert_eq!(refused.stderr.matches("error:").count(), 2, "{refused}");
    assert!(!work.at("run").exists(), "nothing was begun");
}

#[test]
fn tables_without_a_sparse_gradient_are_no_matter() {
    let work = Workplace::new();
    // A frozen table has no gradient, and that of a shared one is dense.
    let frozen = [
        (SOURCE, json!(true)),
        ("system.model.encoder.embeddings.source.freeze", json!(true)),
        (TARGET, json!(true)),
        ("system.model.encoder.share_embeddings", json!(true)),
        ("system.model.encoder.out_embeddings_dim", json!(null)),
        ("trainer.gradient_max_norm", json!(1.0)),
        ("trainer.max_steps", json!(3)),
    ];
    let _ = work.train("run", &frozen);
}
