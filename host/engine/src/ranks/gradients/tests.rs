use super::*;

#[test]
fn facts_come_back_as_they_were_told() {
    let parameter = || Tensor::zeros([4, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let (none, with_dense, with_sparse) = (parameter(), parameter(), parameter());
    set_gradient(&with_dense, Some(&with_dense.zeros_like())).unwrap();
    let indices = Tensor::from_slice(&[3_i64, 1]).unsqueeze(0);
    let values = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
    let gradient =
        Tensor::sparse_coo_tensor_indices_size(&indices, &values, [4, 2], (Kind::Float, Device::Cpu), false);
    set_gradient(&with_sparse, Some(&gradient)).unwrap();
    let facts = Facts { words: 71, items: Some(2.5), came: [false, true, false] };
    let told = tell(&[none, with_dense, with_sparse.shallow_clone()], facts).unwrap();
    let (layouts, heard) = hear(&told, 3).unwrap();
    assert_eq!(layouts, [Layout::None, Layout::Dense, Layout::Sparse]);
    assert_eq!(heard, facts);

    // The rows of the sparse one, among others that another rank has.
    let used = touched(&[with_sparse.shallow_clone()], &[0], Device::Cpu).ok().flatten().unwrap();
    assert_eq!(Vec::<u8>::try_from(&used).unwrap(), [0, 1, 0, 1]);
    let rows = Tensor::from_slice(&[0_i64, 1, 3]);
    let sums = rows_of(&with_sparse, &rows, Device::Cpu).unwrap();
    let numbers = |tensor: &Tensor| Vec::<f32>::try_from(tensor.reshape([-1])).unwrap();
    assert_eq!(numbers(&sums), [0.0, 0.0, 3.0, 4.0, 1.0, 2.0]);
    give_back(
        &[with_sparse.shallow_clone()],
        &Summed { sums, of: Of::Rows { index: 0, rows, sparse: true } },
    )
    .unwrap();
    let back = super::gradient(&with_sparse).unwrap().unwrap();
    assert!(back.is_sparse());
    assert_eq!(numbers(&back.to_dense(None, false)), [0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 1.0, 2.0]);
}
