select
    account_sid as account_id,
    category,
    description,
    start_date,
    end_date,
    as_of,
    count,
    count_unit,
    usage,
    usage_unit,
    price,
    price_unit,
    received_at as _fivetran_synced
from {{ source('tap', 'usage_records') }}
