select
    sid as id,
    account_sid as account_id,
    customer_name,
    friendly_name,
    street,
    city,
    region,
    postal_code,
    iso_country,
    emergency_enabled,
    validated,
    verified,
    date_created as created_at,
    date_updated as updated_at,
    received_at as _fivetran_synced
from {{ source('tap', 'addresses') }}
